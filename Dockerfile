# Build:  docker build -t assetmatrix .
# Run:    docker run --rm --name assetmatrix -p 8080:8080 -v assetmatrix:/data assetmatrix
# Upload: docker exec -i assetmatrix assetmatrix put shop/banners/hero.jpg - < hero.jpg
#         (the management API listens on loopback inside the container, and asks nobody for a token)
FROM golang:1.26-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends libvips-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=unknown
RUN go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /assetmatrix ./cmd/assetmatrix

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends libvips42 ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --home-dir /data --create-home assetmatrix
COPY --from=build /assetmatrix /usr/local/bin/assetmatrix
COPY config.yaml /etc/assetmatrix/config.yaml
# The render workers set this for themselves (docs/decisions/003-render-in-worker-processes.md); it is for the server.
ENV MALLOC_ARENA_MAX=2 \
    ASSETMATRIX_DATA_DIR=/data
USER assetmatrix
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["assetmatrix", "check", "--live", "--config", "/etc/assetmatrix/config.yaml"]
ENTRYPOINT ["assetmatrix"]
CMD ["serve", "--config", "/etc/assetmatrix/config.yaml"]
