# AppArmor: loads the profiles, then the cases.
apparmor_parser -r "$PAYLOAD/guest/apparmor.profile" || exit 1
exec "$PAYLOAD/bin/conformance" --runtime "$PAYLOAD/bin/trun" --patience 5 --filter labels/apparmor
