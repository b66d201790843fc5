# One image for both programs; the workloads say which one they run. Nothing in it but two static binaries, which "make build"
# puts into bin/. "make image" gives the arguments; "make image-archive" makes the same image for all platforms at once.
FROM scratch
ARG VERSION=unknown
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="Clarion" \
      org.opencontainers.image.description="A load balancer for Kubernetes clusters on bare metal" \
      org.opencontainers.image.url="https://github.com/clarionlb/clarion" \
      org.opencontainers.image.source="https://github.com/clarionlb/clarion" \
      org.opencontainers.image.documentation="https://github.com/clarionlb/clarion/tree/$VERSION/docs" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED"
COPY bin/announcer bin/cloud-controller-manager /
USER 65532:65532
