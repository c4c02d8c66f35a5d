//! Uploaded files: their bytes, what may be uploaded, who may read it, and how it is sent.

mod bytes;
