//! Instruction sets: names, detection, and one private module each with the micro-kernels written for it.
//!
//! The modules hold all `unsafe` code of the crate but the call of a kernel in [`crate::registry`]. A module's token (such
//! as `avx2::Avx2`) is made only inside a kernel entry, whose caller proved that the CPU has the instruction set; owning it
//! is that proof.

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "intrinsics")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "intrinsics")]
pub(crate) mod avx512vnni;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "intrinsics")]
pub(crate) mod avxvnni;
#[cfg(target_arch = "aarch64")]
#[allow(unsafe_code, reason = "intrinsics")]
pub(crate) mod dotprod;
#[cfg(target_arch = "aarch64")]
#[allow(unsafe_code, reason = "intrinsics")]
pub(crate) mod i8mm;
#[cfg(target_arch = "aarch64")]
#[allow(unsafe_code, reason = "intrinsics")]
pub(crate) mod neon;
pub(crate) mod portable;
#[allow(unsafe_code, reason = "instructions by their names")]
pub mod probe;

/// An instruction set a kernel can be written for, weakest first within a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IsaKind {
    /// The scalar specification; runs everywhere.
    Reference,
    /// Plain Rust; runs everywhere.
    Portable,
    /// x86-64 AVX2.
    Avx2,
    /// x86-64 AVX2 with 256-bit AVX-VNNI.
    AvxVnni,
    /// x86-64 AVX-512 BW, VL and VNNI.
    Avx512Vnni,
    /// Armv8.0 Advanced SIMD.
    Neon,
    /// Armv8.2 dot product.
    DotProd,
    /// Armv8.6 int8 matrix multiply.
    I8mm,
}

impl IsaKind {
    /// Every instruction set, in the order of the enum.
    pub const ALL: [IsaKind; 8] = [
        IsaKind::Reference,
        IsaKind::Portable,
        IsaKind::Avx2,
        IsaKind::AvxVnni,
        IsaKind::Avx512Vnni,
        IsaKind::Neon,
        IsaKind::DotProd,
        IsaKind::I8mm,
    ];

    /// The name that the command line and `DYADIC_ISA` use.
    pub const fn name(self) -> &'static str {
        match self {
            IsaKind::Reference => "reference",
            IsaKind::Portable => "portable",
            IsaKind::Avx2 => "avx2",
            IsaKind::AvxVnni => "avxvnni",
            IsaKind::Avx512Vnni => "avx512vnni",
            IsaKind::Neon => "neon",
            IsaKind::DotProd => "dotprod",
            IsaKind::I8mm => "i8mm",
        }
    }

    /// The instruction set of that name.
    pub fn from_name(name: &str) -> Option<IsaKind> {
        IsaKind::ALL.into_iter().find(|isa| isa.name() == name)
    }

    /// Whether code for `other` runs wherever code for `self` runs.
    pub const fn includes(self, other: IsaKind) -> bool {
        match other {
            IsaKind::Reference | IsaKind::Portable => true,
            IsaKind::Avx2 => matches!(self, IsaKind::Avx2 | IsaKind::AvxVnni | IsaKind::Avx512Vnni),
            // AVX-512 VNNI machines may lack the VEX encoding of AVX-VNNI.
            IsaKind::AvxVnni => matches!(self, IsaKind::AvxVnni),
            IsaKind::Avx512Vnni => matches!(self, IsaKind::Avx512Vnni),
            IsaKind::Neon => matches!(self, IsaKind::Neon | IsaKind::DotProd | IsaKind::I8mm),
            IsaKind::DotProd => matches!(self, IsaKind::DotProd | IsaKind::I8mm),
            IsaKind::I8mm => matches!(self, IsaKind::I8mm),
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// What a CPU can run. A value holding more than [`Cpu::ANY`] exists only through detection, so owning it proves
/// that the instruction sets it names are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu {
    isas: u16,
}

impl Cpu {
    /// The instruction sets that every CPU runs.
    pub const ANY: Cpu = Cpu { isas: IsaKind::Reference.bit() | IsaKind::Portable.bit() };

    /// What was promised to the Rust compiler by its target features; no run-time detection.
    pub const fn compiled() -> Cpu {
        let mut isas = Cpu::ANY.isas;
        if cfg!(all(target_arch = "x86_64", target_feature = "avx2")) {
            isas |= IsaKind::Avx2.bit();
        }
        if cfg!(all(target_arch = "aarch64", target_feature = "neon")) {
            isas |= IsaKind::Neon.bit();
        }
        Cpu { isas }
    }

    /// What this CPU has.
    #[cfg(feature = "std")]
    pub fn detect() -> Cpu {
        let mut isas = Cpu::compiled().isas;
        #[cfg(target_arch = "x86_64")]
        {
            use std::is_x86_feature_detected as has;
            if has!("avx2") {
                isas |= IsaKind::Avx2.bit();
            }
            if has!("avx2") && has!("avxvnni") {
                isas |= IsaKind::AvxVnni.bit();
            }
            if has!("avx2") && has!("avx512bw") && has!("avx512vl") && has!("avx512vnni") {
                isas |= IsaKind::Avx512Vnni.bit();
            }
        }
        #[cfg(target_arch = "aarch64")]
        {
            use std::arch::is_aarch64_feature_detected as has;
            if has!("neon") {
                isas |= IsaKind::Neon.bit();
            }
            if has!("dotprod") {
                isas |= IsaKind::DotProd.bit();
            }
            if has!("i8mm") {
                isas |= IsaKind::I8mm.bit();
            }
        }
        Cpu { isas }
    }

    /// Whether this CPU runs kernels written for `isa`.
    pub const fn has(self, isa: IsaKind) -> bool {
        self.isas & isa.bit() != 0
    }

    /// The strongest instruction set of this CPU.
    pub fn best(self) -> IsaKind {
        IsaKind::ALL.into_iter().rev().find(|&isa| self.has(isa)).unwrap_or(IsaKind::Portable)
    }
}
