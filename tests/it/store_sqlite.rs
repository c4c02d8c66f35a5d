//! What only the embedded engine has.
