//! A copy that leaves nothing of what it has written in the caches of this processor, as the C library's does beyond some megabytes.
//!
//! An ordinary store first gets its cache line: from memory, or from the other processor that has read it last, which takes longest. These
//! do not, since whole lines are written; and who reads them next finds them in memory, and need not ask this processor for them.

use super::copy as ordinary;

#[cfg(all(target_arch = "x86_64", not(miri)))]
const LINE: usize = 64;

/// Copies.
///
/// # Safety
///
/// As for [`ordinary`]. To the compiler this is foreign code, too, and it does what that does.
#[cfg(all(target_arch = "x86_64", not(miri)))]
pub(super) unsafe fn copy(to: *mut u8, from: *const u8, len: usize) {
    let head = to.align_offset(LINE).min(len);
    let lines = (len - head) / LINE;
    let rest = head + lines * LINE;
    // SAFETY: the three parts are within what the caller has promised: `head` bytes, whole lines from the start of one on, of which
    // the instructions write as many as `lines` says, and what is left. They are in every processor of this kind. The
    // fence has them done before whatever is stored next, which they alone would not be.
    unsafe {
        ordinary(to.cast(), from.cast(), head);
        ordinary(to.add(rest).cast(), from.add(rest).cast(), len - rest);
        if lines > 0 {
            std::arch::asm!(
                "2:",
                "movups {a}, [{from}]",
                "movups {b}, [{from} + 16]",
                "movups {c}, [{from} + 32]",
                "movups {d}, [{from} + 48]",
                "movntps [{to}], {a}",
                "movntps [{to} + 16], {b}",
                "movntps [{to} + 32], {c}",
                "movntps [{to} + 48], {d}",
                "add {from}, 64",
                "add {to}, 64",
                "dec {lines}",
                "jnz 2b",
                "sfence",
                from = inout(reg) from.add(head) => _,
                to = inout(reg) to.add(head) => _,
                lines = inout(reg) lines => _,
                a = out(xmm_reg) _,
                b = out(xmm_reg) _,
                c = out(xmm_reg) _,
                d = out(xmm_reg) _,
                options(nostack),
            );
        }
    }
}

/// Copies as ever.
///
/// # Safety
///
/// As for [`ordinary`].
#[cfg(not(all(target_arch = "x86_64", not(miri))))]
pub(super) unsafe fn copy(to: *mut u8, from: *const u8, len: usize) {
    // SAFETY: the caller's.
    unsafe { ordinary(to.cast(), from.cast(), len) };
}
