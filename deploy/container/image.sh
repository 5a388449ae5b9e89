# shellcheck shell=bash
# Sourced by checks that run the image: how to make it, and a Podman of their own, which knows nothing of others' images
# and containers and leaves nothing behind. Its state is below $podman_state, which remove_podman removes.

# make_podman DIRECTORY
make_podman() {
  podman_state=$1
  mkdir -p "$podman_state/networks"
  local files
  files=$(ulimit -Hn)
  # Neither systemd nor a journal is asked for, and no limit is raised, so that this works inside of a container as well.
  cat >"$podman_state/containers.conf" <<CONF
[containers]
default_ulimits = ["nofile=$files:$files", "nproc=4096:4096"]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
[network]
network_backend = "netavark"
network_config_dir = "$podman_state/networks"
CONF
  # vfs asks nothing of the file system, and these images are small.
  cat >"$podman_state/storage.conf" <<CONF
[storage]
driver = "vfs"
graphroot = "$podman_state/storage"
runroot = "$podman_state/run"
CONF
  export CONTAINERS_CONF=$podman_state/containers.conf CONTAINERS_STORAGE_CONF=$podman_state/storage.conf
}

remove_podman() {
  podman rm --all --force --time 1 >/dev/null 2>&1 || true
  rm -rf "$podman_state"
}

# For size and without link-time optimisation: less to compile than a release, by half of the time. It is no smaller than that.
compile_programs() { CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=s deploy/container/build.sh; }

# build_image NAME: the image of these programs. (Older Podmans do not set TARGETARCH.)
build_image() {
  podman build --quiet --format docker --build-arg PROGRAMS=prebuilt --build-arg "TARGETARCH=$(podman info --format "{{.Host.Arch}}")" \
    --file deploy/container/Dockerfile --tag "$1" . >/dev/null
}
