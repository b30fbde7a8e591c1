# Two images out of one file: `service` has what serves logins (the service, the gateway), and is small; `pooldrill` has
# everything. `docker compose build` makes both.
#
#   docker build --target service -t pooldrill-service:local .
#   docker build --target pooldrill -t pooldrill:local .
FROM python:3.14-slim AS base
ENV PYTHONUNBUFFERED=1 PATH=/opt/venv/bin:$PATH
# A name and a home as well as a number: PostgreSQL's programs ask who they are.
RUN groupadd --gid 10001 pooldrill \
 && useradd --uid 10001 --gid pooldrill --create-home --shell /usr/sbin/nologin pooldrill

FROM base AS builder
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv && pip install --quiet --upgrade "pip>=25.1"
WORKDIR /build
COPY pyproject.toml ./

# Packages before sources: a changed source costs no download.
FROM builder AS service-packages
RUN pip install --quiet --group service && pip uninstall --quiet --yes pip
COPY auth_service /opt/service/auth_service
# Where the file system is read-only, nothing could be compiled later.
RUN python -m compileall -q /opt/service

FROM base AS service
COPY --from=service-packages /opt/venv /opt/venv
COPY --from=service-packages /opt/service /opt/service
COPY docker/ready /usr/local/bin/ready
ENV PYTHONPATH=/opt/service
USER 10001:10001
WORKDIR /home/pooldrill
EXPOSE 8000
CMD ["python", "-m", "auth_service"]

FROM builder AS packages
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
      > requirements.txt \
 && pip install --quiet -r requirements.txt
COPY README.md ./
COPY dashboards dashboards
COPY scenarios scenarios
COPY auth_service auth_service
COPY harness harness
COPY docs/audit docs/audit
RUN pip install --quiet --no-deps . && pip uninstall --quiet --yes pip

FROM base AS pooldrill
COPY --from=packages /opt/venv /opt/venv
COPY docker/ready /usr/local/bin/ready
# Runs are written to the working directory; where it is a volume, it must be the user's from the start.
RUN install --directory --owner=pooldrill --group=pooldrill /runs
USER 10001:10001
WORKDIR /home/pooldrill
CMD ["pooldrill", "--help"]
