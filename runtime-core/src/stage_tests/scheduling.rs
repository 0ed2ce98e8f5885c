//! Affinity, scheduler, io priority, memory policy.
use super::support::Lane;
use crate::plan::ir::ChildOp;
use tare_sys::Errno;

fn scheduler(policy: u32, nice: i32, priority: u32) -> ChildOp {
    ChildOp::Scheduler {
        policy,
        flags: 0,
        nice,
        priority,
        runtime: 0,
        deadline: 0,
        period: 0,
    }
}

#[test]
fn the_cpus_are_those_of_the_mask() {
    let allowed = Lane::bare().shell("grep Cpus_allowed_list /proc/self/status");
    let list = allowed.said().split_whitespace().nth(1).unwrap().to_owned();
    let first: u32 = list.split([',', '-']).next().unwrap().parse().unwrap();
    let mut mask = vec![0u64; first as usize / 64 + 1];
    mask[first as usize / 64] |= 1 << (first % 64);
    let ended = Lane::bare()
        .op(ChildOp::Affinity(mask))
        .shell("grep Cpus_allowed_list /proc/self/status");
    assert_eq!(ended.said(), format!("Cpus_allowed_list:\t{first}"));
    Lane::bare()
        .op(ChildOp::Affinity(vec![0]))
        .op(ChildOp::Nothing)
        .run()
        .fails_before(1, Errno::EINVAL);
}

#[test]
fn policies_and_niceness() {
    // A niceness below the runner's own is a right of the initial user namespace.
    let own = rustix::process::getpriority_process(None).unwrap();
    for (policy, nice) in [(3, (own + 5).min(19)), (0, 19), (5, own)] {
        let op = scheduler(policy, nice, 0);
        // Field 41 is the policy, 19 the nice value (proc_pid_stat(5)); the shell reads its own.
        let ended = Lane::bare()
            .op(op.clone())
            .shell("read line < /proc/self/stat; set -- $line; echo ${41} ${19}");
        assert_eq!(ended.said(), format!("{policy} {nice}"), "{op:?}");
    }
    Lane::bare()
        .op(scheduler(99, 0, 0))
        .run()
        .fails(Errno::EINVAL);
    Lane::bare()
        .op(scheduler(0, 0, 5))
        .run()
        .fails(Errno::EINVAL);
    // Real time is a right of the initial user namespace.
    Lane::bare()
        .op(scheduler(1, 0, 5))
        .run()
        .fails(Errno::EPERM);
}

#[test]
fn io_priorities() {
    let ended = Lane::bare()
        .op(ChildOp::IoPriority(2 << 13 | 6))
        .shell("busybox ionice -p $$");
    assert_eq!(ended.said(), "best-effort: prio 6");
    let ended = Lane::bare()
        .op(ChildOp::IoPriority(3 << 13))
        .shell("busybox ionice -p $$");
    assert!(ended.said().starts_with("idle"), "{}", ended.output);
    Lane::bare()
        .op(ChildOp::IoPriority(7 << 13))
        .run()
        .fails(Errno::EINVAL);
}

#[test]
fn memory_policies() {
    let policy = |mode, nodes: &[u64]| ChildOp::MemoryPolicy {
        mode,
        nodes: nodes.to_vec(),
    };
    // MPOL_PREFERRED 1, MPOL_BIND 2, MPOL_INTERLEAVE 3, with node 0.
    let ended = Lane::bare()
        .op(policy(2, &[1]))
        .shell("head -n 1 /proc/self/numa_maps");
    if ended
        .failure
        .is_some_and(|(_, errno, _)| errno == Errno::ENOSYS)
    {
        println!("this kernel has no NUMA");
        return;
    }
    assert!(
        ended.said().contains(" bind:0 ") || ended.output.contains("No such file"),
        "{}",
        ended.output
    );
    Lane::bare().op(policy(99, &[1])).run().fails(Errno::EINVAL);
    Lane::bare().op(policy(2, &[0])).run().fails(Errno::EINVAL);
}
