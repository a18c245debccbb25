"""The MCP door: the use cases as tools for LLM agents, on stdio and over streamable HTTP."""
