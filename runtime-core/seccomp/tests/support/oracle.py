#!/usr/bin/env python3
"""libseccomp as runc drives it.  One JSON object a line in: {"profile", "native"}; one a line out:
{"program": hex, "unknown": [names], "newest": {arch: number}} or {"refused": why, "unknown": [names]}; {"foreign": arch} if the library is too
old to know an architecture.

usage: oracle.py [LIBSECCOMP.SO]
"""
import ctypes, json, os, signal, sys

lib = ctypes.CDLL(sys.argv[1] if len(sys.argv) > 1 else 'libseccomp.so.2', use_errno=True)
lib.seccomp_init.restype = ctypes.c_void_p
lib.seccomp_version.restype = ctypes.POINTER(ctypes.c_uint * 3)
lib.seccomp_arch_resolve_name.restype = ctypes.c_uint32


class Comparison(ctypes.Structure):
    _fields_ = [('arg', ctypes.c_uint), ('op', ctypes.c_int), ('a', ctypes.c_uint64), ('b', ctypes.c_uint64)]


OPERATORS = ['', 'NE', 'LT', 'LE', 'EQ', 'GE', 'GT', 'MASKED_EQ']
ACTIONS = {'KILL': 0, 'KILL_THREAD': 0, 'KILL_PROCESS': 0x80000000, 'TRAP': 0x30000, 'ERRNO': 0x50000,
           'NOTIFY': 0x7fc00000, 'TRACE': 0x7ff00000, 'LOG': 0x7ffc0000, 'ALLOW': 0x7fff0000}


class Refused(Exception):
    pass


class Foreign(Exception):
    pass


def action(name, errno):
    value = ACTIONS[name.removeprefix('SCMP_ACT_')]
    return value | (1 if errno is None else errno) if value in (0x50000, 0x7ff00000) else value


def token(arch):
    value = lib.seccomp_arch_resolve_name(arch.removeprefix('SCMP_ARCH_').lower().encode())
    # Before 2.6 PA-RISC had calls of 32 bits in its table of 64.
    if not value or 'PARISC' in arch and tuple(lib.seccomp_version().contents) < (2, 6, 0):
        raise Foreign(arch)
    return ctypes.c_uint32(value)


def add(context, verdict, number, conditions):
    array = (Comparison * len(conditions))(*conditions)
    result = lib.seccomp_rule_add_array(
        ctypes.c_void_p(context), ctypes.c_uint32(verdict), ctypes.c_int(number), ctypes.c_uint(len(conditions)), array)
    if result:
        raise Refused(os.strerror(-result))


def build(profile, archs, unknown):
    default = action(profile['defaultAction'], profile.get('defaultErrnoRet'))
    context = lib.seccomp_init(ctypes.c_uint32(default))
    assert context
    try:
        if lib.seccomp_arch_native() != ctypes.c_int(token(archs[0]).value).value:
            assert lib.seccomp_arch_remove(ctypes.c_void_p(context), ctypes.c_uint32(0)) == 0
        for arch in archs:
            result = lib.seccomp_arch_add(ctypes.c_void_p(context), token(arch))
            if result not in (0, -17):
                raise Refused(f'{arch}: {os.strerror(-result)}')
        for rule in profile.get('syscalls') or []:
            verdict = action(rule['action'], rule.get('errnoRet'))
            conditions = [Comparison(a['index'], OPERATORS.index(a['op'].removeprefix('SCMP_CMP_')), a['value'],
                                     a.get('valueTwo') or 0) for a in rule.get('args') or []]
            indices = [a.arg for a in conditions]
            for name in rule['names']:
                number = lib.seccomp_syscall_resolve_name(name.encode())
                if number == -1:
                    unknown.add(name)
                if number == -1 or verdict == default:
                    continue
                if len(set(indices)) < len(indices):
                    for condition in conditions:
                        add(context, verdict, number, [condition])
                else:
                    add(context, verdict, number, conditions)
        fd = os.memfd_create('filter')
        try:
            assert lib.seccomp_export_bpf(ctypes.c_void_p(context), ctypes.c_int(fd)) == 0
            return os.pread(fd, 1 << 24, 0)
        finally:
            os.close(fd)
    finally:
        lib.seccomp_release(ctypes.c_void_p(context))


def newest(profile, arch):
    names = (name for rule in profile.get('syscalls') or [] for name in rule['names'])
    return max((lib.seccomp_syscall_resolve_name_arch(token(arch), name.encode()) for name in names), default=0)


lib.seccomp_api_set(ctypes.c_uint(7))
for line in sys.stdin:
    request = json.loads(line)
    profile, unknown = request['profile'], set()
    # libseccomp 2.5 can loop for ever; the default action of the signal ends the process.
    signal.alarm(3)
    archs = [request['native']]
    archs += [arch for arch in profile.get('architectures') or [] if arch not in archs]
    try:
        program = build(profile, archs, unknown)
        answer = {'program': program.hex(), 'newest': {arch: max(0, newest(profile, arch)) for arch in archs}}
    except Refused as refused:
        answer = {'refused': str(refused)}
    except Foreign as foreign:
        answer = {'foreign': str(foreign)}
    print(json.dumps(answer | {'unknown': sorted(unknown)}), flush=True)
