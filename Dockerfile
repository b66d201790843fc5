# One image for both programs; the workloads say which one they run. Nothing in it but two static binaries.
FROM scratch
COPY bin/cloud-controller-manager bin/announcer /
USER 65532:65532
