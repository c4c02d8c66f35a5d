//! What stock clients of the Pusher protocol are answered with.

use serde::Serialize;
use utoipa::ToSchema;

/// What a stock client sends along when it subscribes.
#[derive(Serialize, ToSchema)]
#[schema(as = pigeons::Signature)]
pub struct Signature {
    /// The platform's key, a colon, and the signature in hexadecimal digits.
    #[schema(
        example = "3fa85f64-5717-4562-b3fc-2c963f66afa6:58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4"
    )]
    pub auth: String,
    /// Of a presence channel: who the subscriber is, to be sent as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub channel_data: Option<String>,
}

/// What a stock client sends along when it signs in.
#[derive(Serialize, ToSchema)]
#[schema(as = pigeons::UserSignature)]
pub struct UserSignature {
    /// The platform's key, a colon, and the signature in hexadecimal digits.
    #[schema(
        example = "3fa85f64-5717-4562-b3fc-2c963f66afa6:4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba"
    )]
    pub auth: String,
    /// Who the user is, and whom they watch, to be sent as it is.
    pub user_data: String,
}
