//! Constants of instruments: structures of addresses and offsets, which relocate themselves.

use super::{Address, NONE};

/// Something that the programs know of a process.
pub trait Constant: Copy {
    /// It is not known.
    const ABSENT: Self;

    /// Adds the load bias of a process to all addresses in it.
    fn relocate(&mut self, bias: u64);
}

impl Constant for Address {
    const ABSENT: Self = Address::NONE;

    fn relocate(&mut self, bias: u64) {
        *self = self.relocated(bias);
    }
}

impl Constant for u16 {
    const ABSENT: Self = NONE;

    fn relocate(&mut self, _bias: u64) {}
}

impl Constant for u32 {
    const ABSENT: Self = 0;

    fn relocate(&mut self, _bias: u64) {}
}

impl<T: Constant, const N: usize> Constant for [T; N] {
    const ABSENT: Self = [T::ABSENT; N];

    fn relocate(&mut self, bias: u64) {
        self.iter_mut().for_each(|one| one.relocate(bias));
    }
}

/// Structures of [`Constant`]s, so that no address in them can be forgotten. A field may say what stands for "not known".
#[macro_export]
macro_rules! constants {
    (@absent $kind:ty) => { <$kind as $crate::raw::Constant>::ABSENT };
    (@absent $kind:ty, $absent:expr) => { $absent };
    ($($(#[$meta:meta])* pub struct $name:ident { $($(#[$doc:meta])* pub $field:ident: $kind:ty $(= $absent:expr)?,)* })*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)]
        #[repr(C)]
        pub struct $name { $($(#[$doc])* pub $field: $kind,)* }

        impl $crate::raw::Constant for $name {
            const ABSENT: Self = Self { $($field: $crate::constants!(@absent $kind $(, $absent)?),)* };

            fn relocate(&mut self, bias: u64) {
                $($crate::raw::Constant::relocate(&mut self.$field, bias);)*
            }
        }
    )*};
}
