#!/bin/sh
# Builds the image where there is no container engine (Debian, root; apt: buildah, mmdebstrap) and runs a command in it
# as compose.yaml would: the image's user, a read-only root but for the volume of models, /tmp in memory, no capability, no new privileges, a network of
# its own. The base images are made here, since none can be pulled: Debian by mmdebstrap, Node from node_modules.
#
#   deploy/docker/try-without-engine.sh node --version
#   BUILD_ARGS='--build-arg MODEL=bundled' deploy/docker/try-without-engine.sh ls -l /var/cache/mnemosyne/models
#
# Variables whose name begins with TRY_ are handed to the command without that beginning. NETWORK=host shares this host's
# network, where stores may run.
set -eu
here=$(cd "$(dirname "$0")/../.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/mnemosyne/image-bases
export BUILDAH_ISOLATION=chroot
node=$here/node_modules/node/bin/node
npm=$(dirname "$(readlink -f "$(command -v npm)")")/..

base_images() {
  mkdir -p "$cache"
  [ -f "$cache/debian.tar" ] || mmdebstrap --quiet --variant=minbase --include=libstdc++6 bookworm "$cache/debian.tar"
  buildah inspect --type image localhost/debian:try >/dev/null 2>&1 ||
    printf 'FROM scratch\nADD debian.tar /\n' | buildah bud -q -t localhost/debian:try -f - "$cache" >/dev/null
  context=$(mktemp -d)
  cp "$node" "$context/node"
  cp -r "$npm" "$context/npm"
  # What the host trusts, for a mirror or proxy with a certificate of its own.
  cp /etc/ssl/certs/ca-certificates.crt "$context/ca.crt"
  buildah bud -q --layers --pull-never -t localhost/node:try -f - "$context" >/dev/null <<'EOF'
FROM localhost/debian:try
COPY node /usr/local/bin/node
COPY npm /usr/local/lib/node_modules/npm
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm
COPY ca.crt /etc/ca.crt
ENV NODE_EXTRA_CA_CERTS=/etc/ca.crt
EOF
  rm -r "$context"
}

build() {
  # shellcheck disable=SC2086 # several arguments
  buildah bud -q --layers --pull-never --format docker ${BUILD_ARGS:-} \
    --build-arg NODE_IMAGE=localhost/node:try --build-arg RUNTIME_IMAGE=localhost/debian:try \
    -t localhost/mnemosyne:try -f "$here/deploy/docker/Dockerfile" "$here" >/dev/null
}

confined() {
  root=$1
  shift
  mount --bind "$root" "$root"
  mount --bind /dev "$root/dev"
  mount -t proc proc "$root/proc"
  mount -t tmpfs -o size=64m,mode=1777,noexec,nosuid,nodev tmpfs "$root/tmp"
  # What compose.yaml mounts a volume on.
  mount --bind "$root/var/cache/mnemosyne" "$root/var/cache/mnemosyne"
  mount -o remount,bind,ro "$root"
  [ "${NETWORK:-}" = host ] || ip link set lo up
  handed=$(env | sed -n 's/^TRY_\([A-Z0-9_]*=\)/\1/p')
  # shellcheck disable=SC2086 # NAME=value, one a line; none with spaces
  exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp NODE_ENV=production \
    MNEMOSYNE_CACHE_DIR=/var/cache/mnemosyne $handed \
    chroot "$root" sh -c 'cd /app && exec setpriv --reuid=10001 --regid=10001 --clear-groups --no-new-privs \
      --bounding-set=-all --inh-caps=-all "$@"' sh "$@"
}

if [ "${1:-}" = --confined ]; then
  shift
  confined "$@"
fi

base_images
build
container=$(buildah from --pull-never localhost/mnemosyne:try)
trap 'buildah rm "$container" >/dev/null' EXIT
root=$(buildah mount "$container")
own_network=--net
[ "${NETWORK:-}" = host ] && own_network=
# shellcheck disable=SC2086 # nothing, or one argument
unshare --mount --pid $own_network --fork sh "$0" --confined "$root" "$@"
