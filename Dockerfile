# The pipeline: Dagster's pages, daemon and warm worker. The service's image is made from a bento (`make image`).
FROM python:3.11-slim-bookworm
ARG JAX_EXTRA=""
WORKDIR /app
COPY requirements.lock pyproject.toml README.md ./
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
# For a GPU: --build-arg JAX_EXTRA="jax[cuda12]==0.10.2"; its libraries are wheels too.
RUN if [ -n "$JAX_EXTRA" ]; then pip install --no-cache-dir --disable-pip-version-check "$JAX_EXTRA"; fi
COPY dagster.yaml workspace.yaml bentofile.yaml ./
COPY rec_assets rec_assets
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation --editable . \
 && python -m compileall -q rec_assets \
 && mkdir /data && chown -R 1034:1034 /data /app
# The user of the service's image, for both write the same volume.
USER 1034:1034
ENV REC_DATA=/data REC_HOST=0.0.0.0 BENTOML_DO_NOT_TRACK=True OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1
VOLUME /data
EXPOSE 3070
CMD ["python", "-m", "rec_assets.launcher.dev"]
