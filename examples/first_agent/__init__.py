"""The programs of docs/how-to/first-agent.md and docs/how-to/tools.md."""
