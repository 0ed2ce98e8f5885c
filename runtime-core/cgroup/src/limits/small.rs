//! Processes, huge pages, network, RDMA, and v2 files by name. Pure.
use super::{Current, Out};
use crate::{Layout, Mode, Refusal, Setting, Skip};
use tare_oci::Resources;

pub(super) fn pids(resources: &Resources, _: &Current, out: &mut Out) -> Result<(), Refusal> {
    match resources.pids.as_ref().and_then(|pids| pids.limit) {
        None | Some(0) => {}
        Some(limit) => {
            let value = if limit < 0 {
                "max".to_string()
            } else {
                limit.to_string()
            };
            out.settings.push(Setting::new(
                "pids.max",
                value,
                "linux.resources.pids.limit",
            ));
        }
    }
    Ok(())
}

pub(super) fn hugetlb_v1(resources: &Resources, _: &Current, out: &mut Out) -> Result<(), Refusal> {
    hugetlb(resources, "limit_in_bytes", out)
}

pub(super) fn hugetlb_v2(resources: &Resources, _: &Current, out: &mut Out) -> Result<(), Refusal> {
    hugetlb(resources, "max", out)
}

/// Each limit also goes to its reservation twin (5.7), which counts what was reserved and not only what was touched.
fn hugetlb(resources: &Resources, suffix: &str, out: &mut Out) -> Result<(), Refusal> {
    for (index, limit) in resources.hugepage_limits.iter().enumerate() {
        let json = format!("linux.resources.hugepageLimits[{index}]");
        let size = &limit.page_size;
        if !is_page_size(size) {
            return Err(Refusal::new(
                format!("{json}.pageSize"),
                format!("{size:?} is no page size such as 2MB or 1GB"),
            ));
        }
        let json = format!("{json}.limit");
        out.settings.push(Setting::new(
            format!("hugetlb.{size}.{suffix}"),
            limit.limit,
            &json,
        ));
        out.settings.push(
            Setting::new(format!("hugetlb.{size}.rsvd.{suffix}"), limit.limit, json).or_skip(),
        );
    }
    Ok(())
}

fn is_page_size(size: &str) -> bool {
    let digits = size
        .trim_end_matches("KB")
        .trim_end_matches("MB")
        .trim_end_matches("GB");
    digits.len() + 2 == size.len()
        && !digits.is_empty()
        && !digits.starts_with('0')
        && digits.bytes().all(|byte| byte.is_ascii_digit())
}

const CLASS: &str = "linux.resources.network.classID";
const PRIORITIES: &str = "linux.resources.network.priorities";

pub(super) fn network_class(
    resources: &Resources,
    _: &Current,
    out: &mut Out,
) -> Result<(), Refusal> {
    if let Some(class) = resources
        .network
        .as_ref()
        .and_then(|network| network.class_id)
        .filter(|class| *class != 0)
    {
        out.settings
            .push(Setting::new("net_cls.classid", class, CLASS));
    }
    Ok(())
}

pub(super) fn network_priorities(
    resources: &Resources,
    _: &Current,
    out: &mut Out,
) -> Result<(), Refusal> {
    for (index, priority) in resources
        .network
        .iter()
        .flat_map(|network| &network.priorities)
        .enumerate()
    {
        let value = format!("{} {}", priority.name, priority.priority);
        out.settings.push(Setting::new(
            "net_prio.ifpriomap",
            value,
            format!("{PRIORITIES}[{index}]"),
        ));
    }
    Ok(())
}

pub(super) fn network_class_v2(
    resources: &Resources,
    current: &Current,
    out: &mut Out,
) -> Result<(), Refusal> {
    only_on_v1(network_class, CLASS, resources, current, out)
}

pub(super) fn network_priorities_v2(
    resources: &Resources,
    current: &Current,
    out: &mut Out,
) -> Result<(), Refusal> {
    only_on_v1(network_priorities, PRIORITIES, resources, current, out)
}

fn only_on_v1(
    form: super::Form,
    json: &str,
    resources: &Resources,
    current: &Current,
    out: &mut Out,
) -> Result<(), Refusal> {
    let mut v1 = Out::default();
    form(resources, current, &mut v1)?;
    if !v1.settings.is_empty() {
        out.skips.push(Skip::new(json, "cgroup v2 has no network controller (nftables matches on the cgroup instead); runc ignores it there too"));
    }
    Ok(())
}

pub(super) fn rdma(resources: &Resources, _: &Current, out: &mut Out) -> Result<(), Refusal> {
    for (device, limit) in &resources.rdma {
        let json = format!("linux.resources.rdma.{device}");
        if device.is_empty() || device.contains(char::is_whitespace) {
            return Err(Refusal::new(json, format!("{device:?} is no device name")));
        }
        let mut value = device.clone();
        if let Some(handles) = limit.hca_handles {
            value += &format!(" hca_handle={handles}");
        }
        if let Some(objects) = limit.hca_objects {
            value += &format!(" hca_object={objects}");
        }
        if value.len() > device.len() {
            out.settings.push(Setting::new("rdma.max", value, json));
        }
    }
    Ok(())
}

/// `linux.resources.unified`: a file of several lines takes one write a line.
pub(super) fn unified(layout: &Layout, resources: &Resources) -> Result<Vec<Setting>, Refusal> {
    let mut settings = Vec::new();
    for (key, value) in &resources.unified {
        let json = unified_json(key);
        let Some((controller, _)) = key
            .split_once('.')
            .filter(|(controller, file)| !controller.is_empty() && !file.is_empty())
        else {
            return Err(Refusal::new(
                json,
                "must be in the form CONTROLLER.PARAMETER",
            ));
        };
        if key.contains(['/', '\0']) {
            return Err(Refusal::new(json, "must be a file name (no slashes)"));
        }
        let pseudo = controller == "cgroup";
        if layout.mode != Mode::V2 && !layout.unified_has(controller) {
            return Err(Refusal::new(
                json,
                "cannot use unified resources on cgroup v1: that file exists on cgroup v2 only",
            ));
        }
        if !pseudo && !layout.unified_has(controller) {
            return Err(Refusal::new(
                json,
                format!("can't be set: controller {controller:?} not available"),
            ));
        }
        let mut lines: Vec<&str> = value.lines().filter(|line| !line.is_empty()).collect();
        if lines.is_empty() {
            lines.push("");
        }
        settings.extend(
            lines
                .into_iter()
                .map(|line| Setting::new(key.clone(), line, &json)),
        );
    }
    Ok(settings)
}

pub(super) fn unified_json(key: &str) -> String {
    format!("linux.resources.unified[{key:?}]")
}
