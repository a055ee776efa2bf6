# nginx as Debian has it, without root, with the configuration beside this file.

FROM debian:trixie-slim
RUN apt-get update \
 && apt-get install --yes --no-install-recommends nginx-light \
 && rm -rf /var/lib/apt/lists/*
COPY nginx.conf /etc/claude-max/nginx.conf
USER www-data
EXPOSE 47291
# Its folder is one that it may write; mount a tmpfs there.
CMD ["nginx", "-e", "stderr", "-p", "/tmp", "-c", "/etc/claude-max/nginx.conf"]
