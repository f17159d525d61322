# docker build -t troupe . && docker run -p 8000:8000 -v troupe-models:/models troupe
# Other models: docker run ... troupe serve --model ORG/NAME
FROM debian:12 AS build
WORKDIR /src
COPY . .
RUN scripts/package && mv build/release/troupe_*.deb /troupe.deb

FROM debian:12-slim
COPY --from=build /troupe.deb /tmp/troupe.deb
RUN apt-get update \
    && apt-get install -y --no-install-recommends /tmp/troupe.deb ca-certificates \
    && rm -rf /tmp/troupe.deb /var/lib/apt/lists/* \
    && useradd --create-home troupe \
    && install -d -o troupe /models
USER troupe
# Inside the container all interfaces; the key comes with docker run -e TROUPE_API_KEY=...
ENV TROUPE_HOST=0.0.0.0 HF_HOME=/models
VOLUME /models
EXPOSE 8000
STOPSIGNAL SIGTERM
ENTRYPOINT ["troupe"]
CMD ["serve", "--model", "HuggingFaceTB/SmolLM2-135M-Instruct"]
