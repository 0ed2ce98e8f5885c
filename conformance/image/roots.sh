#!/usr/bin/env bash
# What a root is made of: ids of its own by idmapped layers, a copy where overlay can't be.
quietly "$tare" pull --quiet "$image"
ids=(--uidmap 0:100000:65536)

check roots/mapped-ids 0 '0 +100000 +65536' "$tare" run --rm "${ids[@]}" "$image" cat /proc/self/uid_map
check roots/mapped-owner 0 '^0:0$' "$tare" run --rm "${ids[@]}" "$image" /bin/busybox stat -c %u:%g /bin/busybox
check roots/mapped-root-is-its-own 0 '^0:0 .*x$' "$tare" run --rm "${ids[@]}" "$image" /bin/busybox stat -c '%u:%g %A' /
check roots/mapped-writes 0 '^0 1000$' "$tare" run --rm "${ids[@]}" "$image" sh -c 'echo x >/etc/passwd && touch /new && /bin/busybox chown 1000 /new && /bin/busybox stat -c %u /etc/passwd /new | /bin/busybox xargs'
check roots/mapped-user 0 'uid=1000\(me\)' "$tare" run --rm -u me "${ids[@]}" "$image" id
check roots/mapped-directory 0 '^/made/here 0$' "$tare" run --rm -w /made/here "${ids[@]}" "$image" sh -c 'echo $(pwd) $(/bin/busybox stat -c %u .)'
check roots/mapped-files 0 'localhost' "$tare" run --rm "${ids[@]}" "$image" cat /etc/hosts
check roots/mapped-host-is-out-of-reach 1 'ermission denied|not permitted' "$tare" run --rm "${ids[@]}" -v "$work/oci:/oci" "$image" touch /oci/x
check roots/mapped-two-ranges 0 '^ *0 +100000 +10 *$' "$tare" run --rm --uidmap 0:100000:10 --uidmap 10:300000:100 "$image" cat /proc/self/uid_map
check roots/mapped-terminal 0 '/dev/(pts/0|console)' script -qec "$tare run --rm -t --uidmap 0:100000:3 $image tty" /dev/null
check roots/mapped-without-root 125 'needs an id for 0' "$tare" run --rm --uidmap 1:100000:10 "$image" true
check roots/mapped-twice 125 'overlap' "$tare" run --rm --uidmap 0:100000:10 --uidmap 5:300000:10 "$image" true
check roots/mapped-nonsense 125 'CONTAINER:HOST:COUNT' "$tare" run --rm --uidmap 0:x:10 "$image" true
# What such a container changes is kept with the container's ids.
quietly "$tare" run --name mapped "${ids[@]}" "$image" sh -c 'touch /by-root /by-me && /bin/busybox chown 1000:100 /by-me'
check roots/mapped-commit 0 '^sha256:' "$tare" commit mapped of-mapped
check roots/mapped-committed 0 '^0:0 1000:100$' "$tare" run --rm of-mapped sh -c '/bin/busybox stat -c %u:%g /by-root /by-me | /bin/busybox xargs'
same roots/mapped-diff "$("$tare" diff mapped | xargs)" "A /by-me A /by-root"
same roots/mapped-export "$("$tare" export mapped | tar -tv --numeric-owner | grep -oE '[0-9]+/[0-9]+ .* by-.*' | awk '{print $1}' | sort | xargs)" "0/0 1000/100"
quietly "$tare" rm mapped
quietly "$tare" rmi of-mapped

# On an overlay there is no overlay: as within a container.
mkdir -p "$work/below" "$work/over" "$work/work" "$work/there"
mount -t overlay -o "lowerdir=$work/below,upperdir=$work/over,workdir=$work/work" overlay "$work/there"
inner() { "$tare" --root "$work/there/root" "$@"; }
quietly inner pull --quiet "$image"
check roots/copy 0 'the root is a copy' "$tare" --root "$work/there/root" run --rm "$image" true
same roots/copy-says-why "$(inner run --rm "$image" true 2>&1 | grep -c 'mount the container.s root by overlay')" 1
same roots/copy-environment "$(inner run --rm -e X=copied "$image" env 2>/dev/null | grep ^X)" X=copied
tree() { /bin/busybox find / -xdev -mindepth 1 ! -path '/proc*' ! -path '/sys*' ! -path '/dev*' ! -path /etc ! -path '/etc/host*' ! -path '/etc/resolv.conf' \( -type d -exec /bin/busybox stat -c '%n %A %u:%g %Y' {} + -o -exec /bin/busybox stat -c '%n %A %u:%g %s %Y %h' {} + \) | /bin/busybox sort; }
same roots/copy-is-the-same "$(inner run --rm "$image" sh -c "$(declare -f tree); tree" 2>/dev/null)" "$("$tare" run --rm "$image" sh -c "$(declare -f tree); tree")"
inner run --name copied "$image" sh -c 'echo new >/new; /bin/busybox rm -r /layer-1; mkdir /layer-1; echo me >/layer-1/me; /bin/busybox rm /etc/group; /bin/busybox chmod 600 /etc/passwd; /bin/busybox ln /new /linked; /bin/busybox ln -s to /link' 2>/dev/null
same roots/copy-diff "$(inner diff copied)" "$(printf '%s\n' 'C /etc' 'D /etc/group' 'C /etc/passwd' 'C /layer-1' 'D /layer-1/d0' 'D /layer-1/d1' 'A /layer-1/me' 'A /link' 'A /linked' 'A /new' | sort -k 2)"
same roots/copy-export "$(inner export copied | tar -xO linked)" new
check roots/copy-commit 0 '^sha256:' "$tare" --root "$work/there/root" commit copied of-copied
inner save of-copied | "$tare" load >/dev/null
same roots/copy-committed "$("$tare" run --rm of-copied sh -c 'cat /new /layer-1/* /linked; ls /layer-1 /etc/group; /bin/busybox stat -c %a /etc/passwd; /bin/busybox readlink /link' 2>&1 | xargs)" "new me new ls: /etc/group: No such file or directory /layer-1: me 600 to"
inner commit copied of-copied:2 >/dev/null
same roots/copy-committed-twice "$(inner inspect of-copied | grep -A9 RootFS | md5sum)" "$(inner inspect of-copied:2 | grep -A9 RootFS | md5sum)"
# A layer that hides something is unpacked there too.
quietly "$tare" tag of-copied "127.0.0.1:$port/hides"
quietly "$tare" push "127.0.0.1:$port/hides"
quietly "$tare" rmi of-copied "127.0.0.1:$port/hides"
inner rm copied >/dev/null
inner rmi of-copied of-copied:2 >/dev/null
quietly inner pull --quiet "127.0.0.1:$port/hides"
same roots/copy-hides "$(inner run --rm "127.0.0.1:$port/hides" ls /etc /layer-1 2>/dev/null | grep -v '^host\|^resolv' | xargs)" "/etc: passwd /layer-1: me"
check roots/copy-mapped 125 'overlay' "$tare" --root "$work/there/root" run --rm "${ids[@]}" "$image" true
same roots/copy-leaves-nothing "$(find "$work/there/root/containers" -mindepth 1)" ""
umount "$work/there"
