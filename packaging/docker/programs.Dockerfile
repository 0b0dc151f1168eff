# Images of millrace-ingestor, millrace-api and the load generator, one target each: built once, then only the program and
# the libraries that it needs. Nothing in them is written to, and they run as a user who owns nothing.
ARG DEBIAN_IMAGE=debian:13.1-slim

FROM ${DEBIAN_IMAGE} AS build
RUN apt-get update && \
    apt-get install -y --no-install-recommends gcc make libc6-dev pkg-config zlib1g-dev libpq-dev librdkafka-dev \
      libevent-dev libjansson-dev libjemalloc-dev libssl-dev && \
    rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Makefile ./
COPY common common
COPY ingestor ingestor
COPY api api
COPY loadtest loadtest
RUN make ingestor api loadtools && strip build/bin/*

FROM ${DEBIAN_IMAGE} AS runtime
RUN apt-get update && \
    apt-get install -y --no-install-recommends ca-certificates librdkafka1 libpq5 libevent-2.1-7 libevent-openssl-2.1-7 libjansson4 libjemalloc2 libssl3 zlib1g && \
    rm -rf /var/lib/apt/lists/*
COPY packaging/docker/probe.sh /usr/local/bin/probe

FROM runtime AS ingestor
COPY --from=build /src/build/bin/millrace-ingestor /usr/local/bin/
RUN millrace-ingestor --version
ENV MILLRACE_ADMIN_LISTEN=0.0.0.0:9465
USER 10001:10001
EXPOSE 9465
ENTRYPOINT ["millrace-ingestor"]

FROM runtime AS api
COPY --from=build /src/build/bin/millrace-api /usr/local/bin/
COPY packaging/docker/secrets.sh /usr/local/bin/make-secrets
RUN millrace-api --version
ENV MILLRACE_API_LISTEN=0.0.0.0:8080 MILLRACE_API_ADMIN_LISTEN=0.0.0.0:9466
USER 10002:10002
EXPOSE 8080 9466
ENTRYPOINT ["millrace-api"]

FROM runtime AS load
COPY --from=build /src/build/bin/millrace-generate /usr/local/bin/
RUN millrace-generate --help >/dev/null
USER 10004:10004
ENTRYPOINT ["millrace-generate"]
