# For the conformance cases labels/apparmor-*.
abi <abi/3.0>,

profile tare-test flags=(attach_disconnected,mediate_deleted) {
  file,
  capability,
  network,
  mount,
  umount,
  signal,
  ptrace,
  unix,
  deny /var/data/file rw,
}

profile tare-other flags=(attach_disconnected,mediate_deleted) {
  file,
  capability,
  network,
  mount,
  umount,
  signal,
  ptrace,
  unix,
}
