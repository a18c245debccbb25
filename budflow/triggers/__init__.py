"""What makes a workflow start from outside: each turns what happened into a TriggerEvent."""
