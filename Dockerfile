# One image for every part of the cluster: the server by default, and Ray's head and workers by another command.

FROM python:3.11.16-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/budflow
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY budflow budflow
COPY mcp_server mcp_server
COPY ray_jobs ray_jobs
COPY examples examples
# Wheels only: a source distribution would run its own code here.
RUN /opt/budflow/bin/pip install --only-binary :all: ".[tables]"

FROM python:3.11.16-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin budflow \
    && useradd --uid 10002 --gid budflow --no-create-home --shell /usr/sbin/nologin budflow-sandbox \
    && install --directory --owner=budflow --group=budflow --mode=0700 /var/lib/budflow \
    && install --directory --owner=budflow-sandbox --group=budflow --mode=0710 /run/budflow
COPY --from=build /opt/budflow /opt/budflow
ENV PATH=/opt/budflow/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    BUDFLOW_DATA_DIR=/var/lib/budflow \
    RAY_USAGE_STATS_ENABLED=0
USER budflow
WORKDIR /var/lib/budflow
VOLUME /var/lib/budflow
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8710/readyz', timeout=4)"]
CMD ["budflow", "serve"]
