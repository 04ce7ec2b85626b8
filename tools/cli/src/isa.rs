//! Instruction sets as the command speaks of them: only those that kernels were written for.

use dyadic_kernels::isa::IsaKind;
use dyadic_kernels::registry::KERNELS;

/// Whether kernels were written for it. A CPU may have more than this program uses.
pub fn has_kernels(isa: IsaKind) -> bool {
    KERNELS.iter().any(|kernel| kernel.isa == isa)
}

/// The instruction set whose kernels run when `chosen` is asked for.
pub fn used(chosen: IsaKind) -> IsaKind {
    if chosen == IsaKind::Reference {
        return chosen;
    }
    let runs = |isa: &IsaKind| has_kernels(*isa) && chosen.includes(*isa);
    IsaKind::ALL.into_iter().rev().find(runs).unwrap_or(IsaKind::Reference)
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
