//! How fast an instruction set multiplies at best: what the rates of its kernels are held against.

use super::{Cpu, IsaKind};

/// Multiplies by the exact path that every 8-bit operand can take, as fast as one core can, for some microseconds, and says
/// how many multiply-accumulates that were. The caller takes the time. `None` where the CPU has not that instruction set
/// or there is no such path: plain Rust has none.
///
/// A kernel that counts on narrow operands may be faster, because it multiplies in fewer bits, and so may one that needs
/// fewer products (Winograd's).
pub fn peak(isa: IsaKind, cpu: Cpu) -> Option<u64> {
    if !cpu.has(isa) {
        return None;
    }
    match isa {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the CPU has it, as checked above.
        IsaKind::Avx2 => Some(unsafe { x86::avx2() }),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the CPU has it, as checked above.
        IsaKind::AvxVnni => Some(unsafe { x86::avxvnni() }),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the CPU has it, as checked above.
        IsaKind::Avx512Vnni => Some(unsafe { x86::avx512vnni() }),
        #[cfg(target_arch = "aarch64")]
        // SAFETY: the CPU has it, as checked above.
        IsaKind::Neon => Some(unsafe { arm::neon() }),
        #[cfg(target_arch = "aarch64")]
        // SAFETY: the CPU has it, as checked above.
        IsaKind::DotProd => Some(unsafe { arm::dotprod() }),
        #[cfg(target_arch = "aarch64")]
        // SAFETY: the CPU has it, as checked above.
        IsaKind::I8mm => Some(unsafe { arm::i8mm() }),
        _ => None,
    }
}

/// Rounds of a probe.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
const STEPS: usize = 1 << 14;

/// A function that repeats some instructions on each of a number of independent accumulators, more than their latency asks
/// for, and returns the multiply-accumulates that were done. In assembly, because the compiler would move a product of
/// constants out of the loop.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! probe {
    ($(#[$doc:meta])* $name:ident: $features:literal, $register:ident, $zero:expr, $accumulators:literal x $macs:literal,
     $($line:literal),+) => {
        $(#[$doc])*
        #[target_feature(enable = $features)]
        pub(super) fn $name() -> u64 {
            let [a, b] = core::hint::black_box([$zero; 2]);
            let mut sums = [$zero; $accumulators];
            for _ in 0..super::STEPS {
                for sum in &mut sums {
                    // SAFETY: instructions of the enabled features, on registers.
                    unsafe {
                        core::arch::asm!(
                            $($line,)+
                            sum = inout($register) *sum,
                            product = out($register) _,
                            a = in($register) a,
                            b = in($register) b,
                            options(nomem, nostack, preserves_flags)
                        );
                    }
                }
            }
            core::hint::black_box(sums);
            (super::STEPS * $accumulators * $macs) as u64
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use core::arch::x86_64::{_mm256_setzero_si256, _mm512_setzero_si512};

    probe! {
        /// 16-bit products, two to a sum: no product of bytes saturates.
        avx2: "avx2", ymm_reg, _mm256_setzero_si256(), 12 x 16,
        "vpmaddwd {product}, {a}, {b}", "vpaddd {sum}, {sum}, {product}"
    }
    probe! {
        /// `{product}` is not used.
        avxvnni: "avx2,avxvnni", ymm_reg, _mm256_setzero_si256(), 12 x 32,
        "{{vex}} vpdpbusd {sum}, {a}, {b} /* {product} */"
    }
    probe! {
        /// `{product}` is not used.
        avx512vnni: "avx512f,avx512vnni", zmm_reg, _mm512_setzero_si512(), 16 x 64,
        "vpdpbusd {sum}, {a}, {b} /* {product} */"
    }
}

#[cfg(target_arch = "aarch64")]
mod arm {
    use core::arch::aarch64::vdupq_n_s8;

    probe! {
        /// 16-bit products, two to a sum, then pairs of sums to 32 bits.
        neon: "neon", vreg, vdupq_n_s8(0), 16 x 16,
        "smull {product:v}.8h, {a:v}.8b, {b:v}.8b", "smlal2 {product:v}.8h, {a:v}.16b, {b:v}.16b",
        "sadalp {sum:v}.4s, {product:v}.8h"
    }
    probe! {
        /// `{product}` is not used.
        dotprod: "neon,dotprod", vreg, vdupq_n_s8(0), 16 x 16,
        "sdot {sum:v}.4s, {a:v}.16b, {b:v}.16b // {product}"
    }
    probe! {
        /// `{product}` is not used.
        i8mm: "neon,i8mm", vreg, vdupq_n_s8(0), 16 x 32,
        "smmla {sum:v}.4s, {a:v}.16b, {b:v}.16b // {product}"
    }
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_cpu_has_is_probed() {
        let cpu = Cpu::detect();
        let without = [IsaKind::Reference, IsaKind::Portable];
        for isa in IsaKind::ALL {
            assert_eq!(peak(isa, Cpu::ANY), None);
            assert_eq!(peak(isa, cpu).is_some(), cpu.has(isa) && !without.contains(&isa), "{}", isa.name());
        }
    }
}
