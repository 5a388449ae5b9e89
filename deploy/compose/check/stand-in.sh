#!/bin/sh
# Makes an image that stands in for those of Postgres, Redis, nginx and Prometheus, where no registry can be reached. See usage below.
set -eu

usage() {
    cat <<'USAGE'
usage: stand-in.sh NAME

Makes, with Podman, the image NAME out of this machine's own programs: Debian's PostgreSQL, Redis, nginx, envsubst, Prometheus and
Busybox, with the libraries that they need. It behaves as the official images do where compose.yaml relies on them: the users'
names, POSTGRES_PASSWORD_FILE, /docker-entrypoint-initdb.d, Prometheus as the entry point. It is good for nothing but tests.
USAGE
}

case ${1:-} in
    '' | -*)
        usage
        [ "${1:-}" = -h ] || [ "${1:-}" = --help ] || exit 2
        exit 0
        ;;
esac
name=$1
here=$(cd "$(dirname "$0")" && pwd)

for postgres in /usr/lib/postgresql/*/bin; do :; done
version=$(basename "$(dirname "$postgres")")
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
root=$context/root
mkdir -p "$root/bin" "$root/etc" "$root/usr/sbin" "$root/usr/bin" "$root/usr/share/postgresql" \
    "$root/usr/lib/postgresql/$version" "$root/tmp" "$root/prometheus" "$root/var/lib/postgresql/data" "$root/var/lib/nginx" "$root/var/log/nginx"

cp -a "$postgres" "$(dirname "$postgres")/lib" "$root/usr/lib/postgresql/$version/"
# Compiling queries takes a compiler, which is larger than all the rest.
rm -rf "$root/usr/lib/postgresql/$version/lib/bitcode" "$root/usr/lib/postgresql/$version/lib/llvmjit.so"
cp -a "/usr/share/postgresql/$version" "$root/usr/share/postgresql/"
for program in /usr/sbin/nginx /usr/bin/redis-server /usr/bin/redis-cli /usr/bin/envsubst /usr/bin/prometheus; do
    cp -L "$program" "$root$program"
done
mkdir -p "$root/usr/share/zoneinfo"
cp -L /usr/share/zoneinfo/UTC "$root/usr/share/zoneinfo/UTC"
cp -L "$(command -v busybox)" "$root/bin/busybox"
cp "$here/entrypoint.sh" "$root/entrypoint.sh"

# The libraries, and the loader, under the names by which they are looked for.
find "$root" -type f \( -perm -100 -o -name '*.so' \) -exec ldd {} + 2>/dev/null |
    awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\/lib.*ld-linux/ { print $1 }' | sort -u |
    while read -r library; do
        mkdir -p "$root$(dirname "$library")"
        cp -L "$library" "$root$library"
    done

printf '%s\n' root:x:0:0::/:/bin/sh postgres:x:999:999::/var/lib/postgresql:/bin/sh redis:x:998:998::/:/bin/sh \
    nginx:x:101:101::/:/bin/sh nobody:x:65534:65534::/:/bin/sh >"$root/etc/passwd"
printf '%s\n' root:x:0: postgres:x:999: redis:x:998: nginx:x:101: nobody:x:65534: >"$root/etc/group"
chmod 1777 "$root/tmp"

cat >"$context/Dockerfile" <<DOCKERFILE
FROM scratch
COPY root /
ENV PATH=/usr/local/bin:/usr/lib/postgresql/$version/bin:/usr/bin:/usr/sbin:/bin PGDATA=/var/lib/postgresql/data
RUN ["/bin/busybox", "--install", "-s", "/bin"]
RUN chown -R 999:999 /var/lib/postgresql && chown -R 101:101 /var/lib/nginx /var/log/nginx && chown 65534:65534 /prometheus
ENTRYPOINT ["/entrypoint.sh"]
DOCKERFILE
podman build --quiet --isolation chroot --format docker --tag "$name" "$context" >/dev/null
