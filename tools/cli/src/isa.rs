//! Instruction sets as the command speaks of them: only those that kernels were written for.

use dyadic_kernels::isa::IsaKind;
use dyadic_kernels::registry::kernels;

/// Whether kernels were written for it. A CPU may have more than this program uses.
pub fn has_kernels(isa: IsaKind) -> bool {
    kernels().any(|kernel| kernel.isa == isa)
}

/// The instruction set whose kernels run when `chosen` is asked for.
pub fn used(chosen: IsaKind) -> IsaKind {
    if chosen == IsaKind::Reference {
        return chosen;
    }
    let runs = |isa: &IsaKind| has_kernels(*isa) && chosen.includes(*isa);
    IsaKind::ALL.into_iter().rev().find(runs).unwrap_or(IsaKind::Reference)
}

/// What the system calls its CPU.
pub fn cpu_model() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |line: &str| line.split_once(':').map(|(_, value)| value.trim().to_string());
    let model = text.lines().find(|line| line.starts_with("model name")).and_then(value);
    model.unwrap_or_else(|| "CPU model unknown".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_kernels_uses_those_of_what_it_includes() {
        assert_eq!(used(IsaKind::Reference), IsaKind::Reference);
        assert_eq!(used(IsaKind::Portable), IsaKind::Portable);
        for isa in IsaKind::ALL.into_iter().filter(|&isa| isa != IsaKind::Reference) {
            assert!(has_kernels(used(isa)) && isa.includes(used(isa)), "{}", isa.name());
        }
    }
}
