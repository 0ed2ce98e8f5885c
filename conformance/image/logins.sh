#!/usr/bin/env bash
# A registry with TLS of its own authority, accounts, and one that wants a client's certificate.
mkdir -p "$work/tls"
(
  cd "$work/tls"
  openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=authority -addext basicConstraints=critical,CA:TRUE
  for name in server client; do
    openssl req -newkey rsa:2048 -nodes -keyout $name.key -out $name.csr -subj /CN=$name
    openssl x509 -req -in $name.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out $name.crt -days 2 \
      -extfile <(printf 'subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n')
  done
  htpasswd -Bbn me secret >passwords
) >"$work/tls/log" 2>&1
plain_port=$port plain_registry=$registry
tls="  tls: {certificate: $work/tls/server.crt, key: $work/tls/server.key"
# By a name that docker does not take for this machine's own, so that certificates count.
start_registry "$work/private" "$tls}
auth: {htpasswd: {realm: here, path: $work/tls/passwords}}"
private=$registry host=127.0.0.1:$port
certs=$work/certs.d
export TARE_CERTS=$certs
mkdir -p "$certs/$host"
printf 'server = "https://%s"\n' "$host" >"$certs/$host/hosts.toml"
check logins/unknown-authority 1 'certificate' "$tare" pull "$host/a"
printf 'server = "https://%s"\nca = "%s"\n' "$host" "$work/tls/ca.crt" >"$certs/$host/hosts.toml"
check logins/nobody 1 'wants a name and a password' "$tare" pull "$host/a"
check logins/wrong 1 'log in by' "$tare" login -u me -p wrong "$host"
check logins/stdin 0 'Login Succeeded' bash -c "echo secret | $tare login -u me --password-stdin $host"
same logins/file-mode "$(stat -c %a "$DOCKER_CONFIG/config.json")" 600
quietly "$tare" pull "127.0.0.1:$plain_port/some/image:1"
quietly "$tare" tag "127.0.0.1:$plain_port/some/image:1" "$host/mine"
check logins/push 0 'digest: sha256' "$tare" push "$host/mine"
check logins/pull 0 '' "$tare" pull --quiet "$host/mine"
mkdir "$work/authority"
cp "$work/tls/ca.crt" "$work/authority/"
check logins/skopeo-sees-it 0 'Digest' skopeo inspect --cert-dir "$work/authority" --authfile "$DOCKER_CONFIG/config.json" "docker://$host/mine"
check logins/logout 0 'Removing login' "$tare" logout "$host"
check logins/gone 1 'wants a name and a password' "$tare" pull "$host/mine"
mkdir -p "$work/helpers"
cat >"$work/helpers/docker-credential-ours" <<'HELPER'
#!/bin/sh
case $1 in
  get) read -r server; [ "$server" = "$HOST" ] || { echo "credentials not found in native keychain"; exit 1; }
    echo '{"Username":"me","Secret":"secret"}' ;;
  *) exit 3 ;;
esac
HELPER
chmod +x "$work/helpers/docker-credential-ours"
mkdir -p "$work/helped"
echo "{\"credHelpers\":{\"$host\":\"ours\"}}" >"$work/helped/config.json"
check logins/helper 0 '' env "HOST=$host" "PATH=$work/helpers:$PATH" "DOCKER_CONFIG=$work/helped" "$tare" pull --quiet "$host/mine"
check logins/no-helper 1 'docker-credential-ours: it does not start' env "DOCKER_CONFIG=$work/helped" "$tare" pull "$host/mine"
kill "$private"
start_registry "$work/certified" "$tls, clientcas: [$work/tls/ca.crt]}"
host=127.0.0.1:$port
mkdir -p "$certs/$host"
printf 'server = "https://%s"\nca = "%s"\n' "$host" "$work/tls/ca.crt" >"$certs/$host/hosts.toml"
check logins/no-certificate 1 'ertificate' "$tare" pull "$host/a"
printf 'server = "https://%s"\nca = "%s"\nclient = [["%s", "%s"]]\n' "$host" "$work/tls/ca.crt" "$work/tls/client.crt" "$work/tls/client.key" >"$certs/$host/hosts.toml"
check logins/certificate 1 'not found at' "$tare" pull "$host/a"
rm -r "${certs:?}/$host"
mkdir -p "$certs/$host"
cp "$work/tls/ca.crt" "$certs/$host/ca.crt"
cp "$work/tls/client.crt" "$certs/$host/client.cert"
cp "$work/tls/client.key" "$certs/$host/client.key"
check logins/docker-certificates 1 'not found at' "$tare" pull "$host/a"
kill "$registry"
port=$plain_port registry=$plain_registry
unset TARE_CERTS
quietly "$tare" image prune --all --force
