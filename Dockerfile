# One image for the four processes: `docker run ordinaut gateway`, `scheduler`, `worker`, `pipeline_engine`,
# and `docker run ordinaut ordinaut.cli migrate` for the database. Everything in it is pinned by requirements.lock.
ARG PYTHON=3.11-slim-bookworm

FROM python:${PYTHON} AS build
ENV UV_LINK_MODE=copy UV_NO_CACHE=1 UV_PYTHON_DOWNLOADS=never
WORKDIR /src
COPY requirements.lock deploy/build-requirements.in ./
# uv checks what it installs against the hashes of its constraints, which pip does not
RUN pip install --no-cache-dir "$(sed -n 's/^\(uv==[^ ]*\).*/\1/p' requirements.lock)" \
 && uv venv /build \
 && uv pip install --python /build --constraint requirements.lock build -r build-requirements.in
COPY . .
RUN /build/bin/python -m build --no-isolation --wheel --outdir /wheels . \
 && /build/bin/python -m build --no-isolation --wheel --outdir /wheels deploy/server \
 && uv venv /opt/ordinaut \
 && uv pip install --python /opt/ordinaut --compile-bytecode --constraint requirements.lock /wheels/*.whl

FROM python:${PYTHON}
LABEL org.opencontainers.image.title="Ordinaut" \
      org.opencontainers.image.description="A shared backbone of time, state and discipline for AI agents" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --system --gid 10001 ordinaut \
 && useradd --system --uid 10001 --gid ordinaut --no-create-home --shell /usr/sbin/nologin ordinaut
COPY --from=build /opt/ordinaut /opt/ordinaut
COPY deploy/probe.py /opt/ordinaut/probe.py
ENV PATH=/opt/ordinaut/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    ORDINAUT_LOG_FORMAT=json \
    ORDINAUT_METRICS_HOST=0.0.0.0 \
    ORDINAUT_GATEWAY_LISTEN=0.0.0.0:50051 \
    ORDINAUT_REST_LISTEN=0.0.0.0:8080 \
    ORDINAUT_SCHEDULER_LISTEN=0.0.0.0:50052 \
    ORDINAUT_ENGINE_LISTEN=0.0.0.0:50053 \
    ORDINAUT_WORKER_LISTEN=0.0.0.0:50054
USER 10001:10001
WORKDIR /tmp
EXPOSE 50051 8080 50052 50053 50054 9464 9465 9466 9467
STOPSIGNAL SIGTERM
# -P: a folder `worker` where the process stands is not ours
ENTRYPOINT ["python", "-P", "-m"]
CMD ["gateway"]
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
  CMD ["python", "-P", "/opt/ordinaut/probe.py"]
