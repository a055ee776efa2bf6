# The server and the official claude CLI, which comes inside the wheel of claude-agent-sdk. See README.md, "Docker".

FROM python:3.13-slim-trixie AS build
WORKDIR /src
# Nothing is taken that the lock has no hash of, the build backend included.
COPY requirements-server.lock ./
RUN python3 -m venv --without-pip /opt/claude-max \
 && python3 -m pip --python /opt/claude-max --disable-pip-version-check --no-cache-dir \
      install --require-hashes --requirement requirements-server.lock
COPY LICENSE README.md pyproject.toml ./
COPY mcp_server mcp_server
RUN python3 -m pip --python /opt/claude-max --disable-pip-version-check --no-cache-dir \
      install --no-deps --no-build-isolation . \
 && python3 -m pip --python /opt/claude-max uninstall --yes hatchling packaging pathspec pluggy tomlkit trove-classifiers \
 && ln -s ../lib/python3.13/site-packages/claude_agent_sdk/_bundled/claude /opt/claude-max/bin/claude

FROM python:3.13-slim-trixie
LABEL org.opencontainers.image.title="claude-max" \
      org.opencontainers.image.description="An MCP server that lets your own programs use your own Claude Max subscription" \
      org.opencontainers.image.licenses="MIT"
# Who reads the workspace is this user; `--build-arg UID=$(id -u)` makes it you.
ARG UID=1000
RUN useradd --uid "$UID" --user-group --create-home --home-dir /home/claude --shell /bin/bash claude \
 && rm -f /home/claude/.bash* /home/claude/.profile && chmod 700 /home/claude
COPY --from=build /opt/claude-max /opt/claude-max
COPY docker/alive.py /opt/claude-max/bin/alive.py
ENV PATH=/opt/claude-max/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DISABLE_AUTOUPDATER=1 \
    CLAUDE_CONFIG_DIR=/home/claude/.claude \
    CLAUDE_MAX_HOST=0.0.0.0 \
    CLAUDE_MAX_PORT=47291 \
    CLAUDE_MAX_TOKEN_FILE=/home/claude/token
USER claude
WORKDIR /home/claude
EXPOSE 47291
# 15 ms of CPU and 10 MB each time; no token is spent.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python3", "-ISB", "/opt/claude-max/bin/alive.py"]
CMD ["claude-max", "serve"]
