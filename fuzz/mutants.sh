#!/usr/bin/env bash
# Shows that each target's promises can be broken, and that its corpus then tells: a line of the project is made wrong, and the corpus
# test of that target must fail, in a copy of the tree: `mutants.sh [TARGETS, a pattern]`. Four minutes; the last line counts.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(realpath "${CARGO_TARGET_DIR:-target}")
only=${1:-.}
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -coz --exclude-standard | xargs -0 cp --parents -t "$copy"
cd "$copy"
export CARGO_TARGET_DIR=$target/mutants
cargo test --quiet -p tare-fuzz --features targets --test corpus >/dev/null
passed=0 failed=0

mutant() { # mutant TARGET FILE SED-EXPRESSION
  local name=$1 file=$2 status=0
  [[ $name =~ $only ]] || return 0
  cp "$file" "$copy/kept"
  sed -i "$3" "$file"
  if cmp -s "$file" "$copy/kept"; then
    echo "FAIL $name: $3 changes nothing in $file"
    failed=$((failed + 1))
    return
  fi
  cargo test --quiet -p tare-fuzz --features targets --test corpus -- --exact "$name" >"$copy/log" 2>&1 || status=$?
  if [ $status != 0 ] && grep -q "^test result: FAILED" "$copy/log"; then
    echo "ok $name notices $file: $3"
    passed=$((passed + 1))
  else
    echo "FAIL $name does not notice $file: $3"
    tail -5 "$copy/log"
    failed=$((failed + 1))
  fi
  cp "$copy/kept" "$file"
}

mutant spec runtime-core/src/lower.rs 's/Op::Mkdir { root: slot(\*root), dest: &dest, mode: \*mode }/Op::Mkdir { root: slot(*root), dest: \&dest, mode: 0 }/'
mutant exec runtime-core/src/lower.rs 's/Op::Chdir { path: &path, create: \*create }/Op::Chdir { path: \&path, create: !*create }/'
mutant record runtime-core/src/state.rs '/`process.args\[0\]`, for the message/i #[serde(skip_serializing)]'
mutant resources runtime-core/oci/src/linux.rs '/^pub struct Resources/,/^}/ s/^    pub pids:/    #[serde(skip_serializing)]\n&/'
mutant seccomp runtime-core/seccomp/src/program.rs 's/JGE: u16 = 0x35/JGE: u16 = 0x25/'
mutant program runtime-core/stage/src/program.rs 's/(list.iter().count() == list.count as usize).then_some(list)/Some(list)/'
mutant program runtime-core/stage/src/home.rs 's/ && !home.contains(&0)//'
mutant cgroup runtime-core/cgroup/src/layout.rs 's/ && !point.split(.\/.).any(|part| part == "..")//'
mutant cgroup runtime-core/cgroup/src/stats/parse.rs 's/all.last().is_none_or(|before| \*before < first)/true/'
mutant bus runtime-core/cgroup/src/systemd/message.rs 's/let taken = self.bytes.get(self.at..end).ok_or(SHORT)?;/let taken = \&self.bytes[self.at..end];/'
mutant host runtime-core/src/net_device/message.rs 's/body: bytes.get(HEADER..length)?,/body: \&bytes[HEADER..length],/'
mutant host runtime-cli/src/notify.rs 's/line == b"READY=1"/line.starts_with(b"READY=1")/'
mutant argv runtime-cli/src/args.rs 's/if (\*least..=\*most).contains(&given)/if given <= *most/'
mutant ttrpc_frames shim/wire/src/frame.rs 's/self.skip -= skipped;/self.skip = 0;/'
mutant shim_messages shim/wire/src/codec.rs 's/out\[at\] = length as u8 | 0x80;/out[at] = length as u8;/'
mutant shim_options shim/wire/src/options/toml.rs 's/\[\.\.at\.min(text\.len())\]/[..at + 1]/'
echo "$passed passed, $failed failed"
[ $failed = 0 ]
