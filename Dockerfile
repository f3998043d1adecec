# syntax=docker/dockerfile:1

FROM golang:1.26.8-bookworm AS build
WORKDIR /src
ENV CGO_ENABLED=0 GOCACHE=/go/cache
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
# The toolchain takes version and commit for `convdel version` from .git.
COPY . .
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/go/cache \
    go build -trimpath -buildvcs=auto -ldflags="-s -w" -o /out/convdel ./cmd/convdel

# The image has the binary, the certificate authorities and a user without privileges, so that nothing else needs patches.
# `kubectl exec` and `docker exec` find the program by its name: its directory is in the PATH that they set.
FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/convdel /usr/local/bin/convdel
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/convdel"]
CMD ["run"]
