//! A PC, entered by PVH.
