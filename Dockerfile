# syntax=docker/dockerfile:1
# One static binary and nothing else. To build it from a binary that is already
# there (bin/tickcast, see make build): --build-arg BINARY=local
ARG BINARY=build

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -o /out/tickcast . \
 && mkdir -p /out/data /out/etc/ssl/certs \
 && cp /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/

FROM scratch AS local
# Makes the directory, which the program must own to write into the volume.
WORKDIR /out/data
COPY bin/tickcast /out/tickcast

FROM ${BINARY} AS binary

FROM scratch AS runtime
COPY --from=binary --chown=65532:65532 /out/ /
USER 65532:65532
# Inside a container the listeners are reached from outside of it. Publish 9090 to
# operators only.
ENV TICKCAST_LISTEN=0.0.0.0:8080 \
    TICKCAST_INTERNAL_LISTEN=0.0.0.0:9090 \
    TICKCAST_DATA=/data
EXPOSE 8080 9090
VOLUME /data
ENTRYPOINT ["/tickcast"]
CMD ["serve"]
