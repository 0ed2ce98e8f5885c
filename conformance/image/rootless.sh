#!/usr/bin/env bash
# Without root: with a range of ids of /etc/subuid, with the caller's id alone, and where user namespaces are refused.
# /etc/passwd and /etc/subuid are this test's own, in a mount namespace of each command.
.ci/need uidmap
uid=61234
printf 'root:x:0:0::/root:/bin/sh\ntare-test:x:%s:%s::/nonexistent:/bin/sh\n' $uid $uid >"$work/passwd"
echo "tare-test:700000:65536" >"$work/subuid"
: >"$work/nobody"
chmod 711 "$work"
mkdir -p "$work/user" "$work/docker"
chmod 755 "$work/docker"
chown $uid:$uid "$work/user"
install -m 755 "$tare" "$work/tare"
cat >"$work/as" <<'AS'
#!/usr/bin/env bash
# as SUBUID STORE WORDS...: tare as the user, whose ranges are a file's and whose images are in a directory of that name.
set -e
work=$(dirname "$0") ranges=$1 store=$2
shift 2
for file in passwd subuid subgid; do
  from=$work/passwd
  [ $file = passwd ] || from=$work/$ranges
  mount --bind "$from" /etc/$file
done
cd /
exec setpriv --reuid 61234 --regid 61234 --clear-groups env -i PATH=/usr/bin:/bin:/usr/sbin HOME=/nonexistent TARE_ROOT="$work/user/$store" \
  XDG_RUNTIME_DIR="$work/user/run-$store" DOCKER_CONFIG="$work/docker" "$work/tare" "$@"
AS
chmod 755 "$work/as"
as=(unshare --mount "$work/as")
touch -a /etc/subuid /etc/subgid

ranged=("${as[@]}" subuid ranged)
# An image with an owner that is not root, which the first has none of.
mkdir -p "$work/owned/home/me"
chown 1000:100 "$work/owned/home/me"
tar -C "$work/owned" --numeric-owner -c . | "$tare" import - "127.0.0.1:$port/owned" >/dev/null
quietly "$tare" push "127.0.0.1:$port/owned"
quietly "$tare" rmi "127.0.0.1:$port/owned"
check rootless/pull-owners 0 '' "${ranged[@]}" pull --quiet "127.0.0.1:$port/owned"
check rootless/pull 0 '' "${ranged[@]}" pull --quiet "$image"
check rootless/run 0 '^uid=0\(root\) gid=0\(root\)' "${ranged[@]}" run --rm "$image" id
check rootless/ids 0 "^ *0 +$uid +1" "${ranged[@]}" run --rm "$image" cat /proc/self/uid_map
check rootless/another-user 0 'uid=1000\(me\) gid=100\(users\)' "${ranged[@]}" run --rm -u me "$image" id
check rootless/owners 0 '^0:0$' "${ranged[@]}" run --rm "$image" /bin/busybox stat -c %u:%g /bin/busybox
check rootless/chown 0 '^1000:100$' "${ranged[@]}" run --rm "$image" sh -c 'touch /x && /bin/busybox chown 1000:100 /x && /bin/busybox stat -c %u:%g /x'
check rootless/nothing-of-the-host 1 'ermission denied' "${ranged[@]}" run --rm -v /etc:/host "$image" /bin/busybox cat /host/shadow
check rootless/host-network 0 '' "${ranged[@]}" run --rm --network host "$image" true
check rootless/no-network 0 '^1$' "${ranged[@]}" run --rm "$image" sh -c 'ls /sys/class/net | grep -c .'
check rootless/terminal 0 '/dev/(pts/0|console)' script -qec "unshare --mount $work/as subuid ranged run --rm -t $image tty" /dev/null
check rootless/status 7 '' "${ranged[@]}" run --rm "$image" sh -c 'exit 7'
check rootless/not-found 127 'nosuch' "${ranged[@]}" run --rm "$image" nosuch
quietly "${ranged[@]}" run --name kept "$image" sh -c '/bin/busybox rm -r /layer-1 && mkdir /layer-1 && touch /mine && /bin/busybox chown 1000 /mine'
same rootless/diff "$("${ranged[@]}" diff kept | xargs)" "C /layer-1 D /layer-1/d0 D /layer-1/d1 A /mine"
check rootless/commit 0 '^sha256:' "${ranged[@]}" commit kept committed
check rootless/committed 0 '^1000$' "${ranged[@]}" run --rm committed /bin/busybox stat -c %u /mine
same rootless/committed-opaque "$("${ranged[@]}" run --rm committed ls /layer-1)" ""
same rootless/export "$("${ranged[@]}" export kept | tar -tv --numeric-owner mine | awk '{print $2}')" 1000/0
# The digests do not tell who made it.
"${ranged[@]}" save committed >"$work/rootless.tar"
check rootless/saved-loads-as-root 0 'Loaded image: committed:latest' "$tare" load -i "$work/rootless.tar"
check rootless/saved-runs-as-root 0 '^1000$' "$tare" run --rm committed /bin/busybox stat -c %u /mine
quietly "$tare" rmi committed
check rootless/push 0 '' "${ranged[@]}" push --quiet "$image"
[ "$(find "$work/user/ranged/images/layers" -uid $((700000 + 999)) | wc -l)" -gt 0 ]; note $? rootless/files-have-owners "no file of the image belongs to 1000"
[ -z "$(find "$work/user/ranged" -uid 0 -o -gid 0)" ]; note $? rootless/no-file-of-root "root's"
same rootless/store-is-closed "$(stat -c %a "$work/user/ranged/images")" 700
quietly "${ranged[@]}" rm kept
quietly "${ranged[@]}" rmi "$image" committed "127.0.0.1:$port/owned"
same rootless/nothing-is-left "$(find "$work/user/ranged/images/layers/sha256" "$work/user/ranged/containers" "$work/user/run-ranged/tare/containers" -mindepth 1 2>/dev/null | head -n 2)" ""

single=("${as[@]}" nobody single)
check rootless/single-pull 0 '' "${single[@]}" pull --quiet "$image"
check rootless/single-run 0 '^uid=0\(root\) gid=0\(root\)' "${single[@]}" run --rm "$image" id
check rootless/single-ids 0 "^ *0 +$uid +1 *$" "${single[@]}" run --rm "$image" cat /proc/self/uid_map
check rootless/single-terminal 0 '/dev/(pts/0|console)' script -qec "unshare --mount $work/as nobody single run --rm -t $image tty" /dev/null
check rootless/single-another-user 125 'setuid to unmapped uid 1000' "${single[@]}" run --rm -u me "$image" id
check rootless/single-opaque 0 '' "${single[@]}" run --name kept "$image" sh -c '/bin/busybox rm -r /layer-1 && mkdir /layer-1'
check rootless/single-commit 0 '^sha256:' "${single[@]}" commit kept committed
same rootless/single-committed "$("${single[@]}" run --rm committed ls /layer-1)" ""
quietly "${single[@]}" rm kept
check rootless/single-rmi 0 'Untagged' "${single[@]}" rmi "$image" committed

# A range too short for the image's owners.
echo "tare-test:700000:50" >"$work/short"
check rootless/short-range 1 'its owner has no number here, /etc/subuid' "${as[@]}" short short pull --quiet "127.0.0.1:$port/owned"
same rootless/short-leaves-nothing "$(find "$work/user/short/images/layers/sha256" "$work/user/short/images/ingest" -mindepth 1 | head -n 2)" ""
