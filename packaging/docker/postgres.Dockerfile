# The official PostgreSQL image of any supported version, and the extension, which is built in a stage of its own.
ARG POSTGRES_IMAGE=postgres:17.6-trixie

FROM ${POSTGRES_IMAGE} AS build
RUN apt-get update && \
    apt-get install -y --no-install-recommends gcc make libc6-dev "postgresql-server-dev-$PG_MAJOR" && \
    rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY common common
COPY pg_extension pg_extension
RUN make -C pg_extension PG_CONFIG="/usr/lib/postgresql/$PG_MAJOR/bin/pg_config" && \
    make -C pg_extension PG_CONFIG="/usr/lib/postgresql/$PG_MAJOR/bin/pg_config" install DESTDIR=/out && \
    strip --strip-debug "/out/usr/lib/postgresql/$PG_MAJOR/lib/millrace.so"

FROM ${POSTGRES_IMAGE}
COPY --from=build /out/ /
# One place for all versions: what the image of version 18 has. The volume is for /var/lib/postgresql.
ENV PGDATA=/var/lib/postgresql/$PG_MAJOR/docker
