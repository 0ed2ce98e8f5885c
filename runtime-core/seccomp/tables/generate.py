#!/usr/bin/env python3
"""Writes ../src/syscalls.rs from what an installed libseccomp resolves.

usage: generate.py [LIBSECCOMP.SO] [--version TEXT] > ../src/syscalls.rs

Asks the library (seccomp_syscall_resolve_num_arch, the call behind scmp_sys_resolver) for the name of
every number of every architecture, so the result is the union of all names it knows, each with its
number in each table.  Take the newest libseccomp there is: a name that is missing here is "unknown".
"""
import ctypes, sys

# One column for each distinct table; the same order as `Table` in ../src/arch.rs.
COLUMNS = ('x86 x86_64 x32 arm aarch64 loongarch64 m68k mips mips64 mips64n32 parisc parisc64 ppc ppc64 '
           'riscv64 s390 s390x sh').split()
SHARED = {'mipsel': 'mips', 'mipsel64': 'mips64', 'mipsel64n32': 'mips64n32', 'ppc64le': 'ppc64', 'sheb': 'sh'}
BASE = {'x32': 0x40000000, 'mips': 4000, 'mips64': 5000, 'mips64n32': 6000}
BASE.update((alias, BASE[table]) for alias, table in SHARED.items() if table in BASE)
SPAN = 1000           # numbers above the base that are asked for
ARM_PRIVATE = 0xF0000  # arm's private calls; kept in 16 bits as 0xF000 | low bits
ABSENT = 'N'


def main():
    args = [a for a in sys.argv[1:] if not a.startswith('--')]
    lib = ctypes.CDLL(args[0] if args else 'libseccomp.so.2')
    lib.seccomp_syscall_resolve_num_arch.restype = ctypes.c_void_p
    lib.seccomp_arch_resolve_name.restype = ctypes.c_uint32
    lib.seccomp_version.restype = ctypes.POINTER(ctypes.c_uint * 3)
    version = '.'.join(map(str, lib.seccomp_version().contents))

    def token(arch):
        value = lib.seccomp_arch_resolve_name(arch.encode())
        assert value, f'this libseccomp does not know {arch}'
        return ctypes.c_uint32(value)

    def name_of(arch_token, number):
        pointer = lib.seccomp_syscall_resolve_num_arch(arch_token, ctypes.c_int(number))
        if not pointer:
            return None
        return ctypes.cast(pointer, ctypes.c_char_p).value.decode()

    def column(arch):
        arch_token, base, found = token(arch), BASE.get(arch, 0), {}
        for low in range(SPAN):
            name = name_of(arch_token, base + low)
            if name:
                assert name not in found, f'{arch}: {name} has two numbers'
                found[name] = str(low)
        if arch == 'arm':
            for low in range(0x100):
                name = name_of(arch_token, ARM_PRIVATE + low)
                if name:
                    found[name] = hex(0xF000 | low)
        return found

    columns = {arch: column(arch) for arch in COLUMNS}
    for alias, arch in SHARED.items():
        assert column(alias) == columns[arch], f'{alias} does not share the table of {arch}'
    names = set().union(*columns.values())
    native = token('x86')
    for pseudo in range(-20000, -1):
        name = name_of(native, pseudo)
        if name:
            names.add(name)
    names = sorted(names, key=str.encode)

    def multiplexed(name):
        value = lib.seccomp_syscall_resolve_name_arch(native, name.encode())
        return str(-value) if -300 < value < -100 else '0'

    print(f'//! Generated from libseccomp {version} by `tables/generate.py` (run it again to renew; do not edit):')
    print('//! the number of each system call in each table, and its code behind `socketcall` (100 + code) or `ipc` (200 + code).')
    print()
    print('/// The call is not in the table.')
    print('pub(crate) const N: u16 = u16::MAX;')
    print('/// The libseccomp release the tables were taken from.')
    print(f'pub(crate) const SOURCE: &str = "libseccomp {version}";')
    print('/// How many names there are.')
    print(f'pub(crate) const COUNT: usize = {len(names)};')
    print('/// Columns of a row: the tables, then the multiplexed code.')
    print(f'pub(crate) const COLUMNS: usize = {len(COLUMNS) + 1};')
    print()
    print(f'// {" ".join(COLUMNS)} multiplexed')
    print('/// Sorted by name. Only read while constants are evaluated: names.rs packs them.')
    print('#[rustfmt::skip]')
    print('pub(crate) static ROWS: [(&str, [u16; COLUMNS]); COUNT] = [')
    rows = []
    for name in names:
        cells = [columns[arch].get(name, ABSENT) for arch in COLUMNS] + [multiplexed(name)]
        rows.append(f'("{name}",[{",".join(cells)}]),')
    for first in range(0, len(rows), 2):
        print(''.join(rows[first:first + 2]))
    print('];')


main()
