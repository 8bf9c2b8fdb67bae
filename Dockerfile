# interleaf: one image for the API and every worker. Which of them a container is, its command says:
#
#     docker build --tag interleaf .
#     docker run interleaf serve --help
#
# torch's usual build for Linux brings CUDA, some gigabytes. Where no GPU is used, hand in the package index of its
# CPU builds: docker build --build-arg PIP_EXTRA_INDEX_URL=… .

FROM python:3.11-slim-bookworm AS build
ARG PIP_EXTRA_INDEX_URL=""
ENV PIP_EXTRA_INDEX_URL=${PIP_EXTRA_INDEX_URL} PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
RUN python -m venv /opt/interleaf
# The libraries first, in the versions of the lock: a change of our own code does not install them again.
COPY pyproject.toml requirements.lock ./
COPY scripts/requirements.py scripts/
RUN python scripts/requirements.py service postgres s3 > /tmp/requirements.txt
RUN /opt/interleaf/bin/python -m pip install --constraint requirements.lock --requirement /tmp/requirements.txt
RUN python -m pip install --constraint requirements.lock hatchling
COPY hatch_build.py LICENSE README.md ./
COPY sdk sdk
COPY agents agents
COPY api api
COPY evals evals
COPY model model
COPY retrieval retrieval
COPY templates templates
COPY workers workers
RUN python -m pip wheel --no-deps --no-build-isolation --wheel-dir /tmp/wheels .
RUN /opt/interleaf/bin/python -m pip install --no-deps /tmp/wheels/interleaf-*.whl
RUN /opt/interleaf/bin/python -m pip check

FROM python:3.11-slim-bookworm
# lightgbm asks the system for OpenMP; the other wheels bring theirs.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*
# The numbers are fixed, so that files in a volume keep their owner from image to image.
RUN groupadd --gid 10001 interleaf \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin interleaf \
    && install --directory --owner interleaf --group interleaf --mode 0700 /data
COPY --from=build /opt/interleaf /opt/interleaf
# Everything that is kept lies in /data; the rest of the file system may be read-only, with a tmpfs at /tmp.
ENV PATH=/opt/interleaf/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    INTERLEAF_HOME=/data HOME=/tmp XDG_CACHE_HOME=/tmp
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
ENTRYPOINT ["interleaf"]
CMD ["serve", "--help"]
