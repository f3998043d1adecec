# syntax=docker/dockerfile:1

FROM golang:1.26.8-bookworm AS build
WORKDIR /src
ENV CGO_ENABLED=0 GOCACHE=/go/cache
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
# With .git, from which the toolchain takes version and commit for `convdel version`.
COPY . .
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/go/cache \
    go build -trimpath -buildvcs=auto -ldflags="-s -w" -o /out/convdel ./cmd/convdel

# The binary, the authorities that sign the API's certificate, and a user without rights: nothing else to patch.
FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/convdel /convdel
USER 65532:65532
ENTRYPOINT ["/convdel"]
CMD ["run"]
