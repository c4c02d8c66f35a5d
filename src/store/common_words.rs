//! Words that questions are full of and that tell nothing of what is asked. Documents hold few of them, so that how rare
//! they are would make them count the most.

/// Without letter case and accents: English, Spanish, Portuguese, Vietnamese.
const COMMON: &[&str] = &[
    "a", "about", "again", "all", "am", "an", "and", "any", "are", "as", "at", "be", "been", "being", "but", "by",
    "can", "could", "did", "do", "does", "doing", "done", "each", "for", "from", "get", "got", "had", "has", "have",
    "he", "her", "here", "him", "his", "how", "i", "if", "in", "into", "is", "it", "its", "just", "many", "may", "me",
    "might", "mine", "more", "most", "much", "must", "my", "no", "nor", "not", "of", "off", "on", "only", "or", "our",
    "out", "over", "own", "same", "shall", "she", "should", "so", "some", "such", "than", "that", "the", "their",
    "them", "then", "there", "these", "they", "this", "those", "to", "too", "under", "up", "us", "very", "was", "we",
    "were", "what", "when", "where", "which", "who", "whom", "whose", "why", "will", "with", "without", "would", "you",
    "your", "yours", "como", "com", "con", "cual", "cuando", "da", "das", "de", "del", "donde", "dos", "e", "el", "em",
    "en", "es", "essa", "esta", "este", "eu", "la", "las", "lo", "los", "mais", "mas", "meu", "mi", "minha", "na",
    "nao", "nas", "nos", "o", "onde", "os", "para", "pela", "pelo", "por", "porque", "posso", "puedo", "qual",
    "quando", "que", "quem", "quien", "se", "sin", "sobre", "su", "sua", "seu", "um", "uma", "un", "una", "y", "bi",
    "cai", "cho", "co", "cua", "duoc", "gi", "khong", "la", "lam", "nao", "nhu", "nhung", "o", "sao", "tai", "the",
    "thi", "toi", "va", "voi",
];

/// Whether a folded word is one of them.
pub(super) fn is_common(word: &str) -> bool {
    COMMON.contains(&word)
}
