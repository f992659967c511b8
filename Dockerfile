# Two images from one build:
#   docker build -t llm-wrapper .                  full (the default): CLIProxyAPI's image plus the gateway, for OAuth accounts
#   docker build -t llm-wrapper --target slim .    slim: the gateway alone on an empty file system
# For another architecture: docker buildx build --platform linux/arm64 … (amd64 and arm64; it is cross-compiled, not emulated).

ARG RUST_IMAGE=rust:1.95.0-slim-bookworm
# Pin it to the digest you have checked: --build-arg CLI_PROXY_API_IMAGE=eceasy/cli-proxy-api@sha256:…
ARG CLI_PROXY_API_IMAGE=eceasy/cli-proxy-api:latest

FROM --platform=$BUILDPLATFORM ${RUST_IMAGE} AS build
ARG TARGETARCH
WORKDIR /llm-wrapper
RUN set -eu; \
    native=$(dpkg --print-architecture); \
    arch=${TARGETARCH:-$native}; \
    case $arch in \
        amd64) cpu=x86_64; gcc=gcc-x86-64-linux-gnu ;; \
        arm64) cpu=aarch64; gcc=gcc-aarch64-linux-gnu ;; \
        *) echo "TARGETARCH=$arch: only amd64 and arm64 are built" >&2; exit 1 ;; \
    esac; \
    if [ "$arch" != "$native" ]; then \
        apt-get update; \
        apt-get install -y --no-install-recommends "$gcc" "libc6-dev-$arch-cross"; \
        rm -rf /var/lib/apt/lists/*; \
    fi; \
    rustup target add "$cpu-unknown-linux-musl"; \
    echo "$arch" > /arch

# The dependencies first, under an empty gateway: this layer is rebuilt only when the lock file changes.
COPY Cargo.toml Cargo.lock ./
COPY .ci/release .ci/release
RUN set -eu; \
    mkdir src; \
    touch src/lib.rs; \
    echo 'fn main() {}' > src/main.rs; \
    .ci/release "$(cat /arch)"; \
    rm -r src

COPY . .
# The sources may be older than the empty ones: touched, so that cargo does not take those for the real ones.
RUN set -eu; \
    touch src/lib.rs src/main.rs; \
    binary=$(.ci/release "$(cat /arch)"); \
    install -D -m 755 "$binary" /image/usr/local/bin/llm-wrapper; \
    install -D -m 644 LICENSE /image/usr/share/doc/llm-wrapper/LICENSE; \
    mkdir -p /image/app/config /image/app/.llm-wrapper

# No USER here and below: `-v $(pwd)/config:/app/config` must be able to save. PUID and PGID change the user after the start.
FROM scratch AS slim
COPY --from=build /image/ /
WORKDIR /app
ENV PATH=/usr/local/bin CONFIG_PATH=/app/config/config.yaml DATA_DIR=/app/.llm-wrapper
EXPOSE 3000
HEALTHCHECK --interval=30s --timeout=10s --start-period=5s --retries=3 CMD ["/usr/local/bin/llm-wrapper", "--health"]
ENTRYPOINT ["/usr/local/bin/llm-wrapper"]

FROM ${CLI_PROXY_API_IMAGE} AS full
USER 0:0
COPY --from=build /image/ /
WORKDIR /app
# CLIProxyAPI lies in a folder of its own there; the gateway looks it up in PATH.
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/CLIProxyAPI CONFIG_PATH=/app/config/config.yaml DATA_DIR=/app/.llm-wrapper
EXPOSE 3000
HEALTHCHECK --interval=30s --timeout=10s --start-period=5s --retries=3 CMD ["/usr/local/bin/llm-wrapper", "--health"]
ENTRYPOINT ["/usr/local/bin/llm-wrapper"]
CMD []
