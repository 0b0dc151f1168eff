# What runs once at each start of the stack: sqitch with the changes of migrations/events, then upgrade and passwords.
ARG DEBIAN_IMAGE=debian:13.1-slim

FROM ${DEBIAN_IMAGE}
RUN apt-get update && \
    apt-get install -y --no-install-recommends sqitch libdbd-pg-perl postgresql-client && \
    rm -rf /var/lib/apt/lists/*
COPY migrations/events /migrations
COPY packaging/docker/migrate.sh packaging/docker/roles.sql /usr/local/lib/millrace/
ENV HOME=/tmp SQITCH_FULLNAME=Millrace SQITCH_EMAIL=millrace@localhost LANG=C.UTF-8
USER 10003:10003
WORKDIR /migrations
ENTRYPOINT ["/usr/local/lib/millrace/migrate.sh"]
