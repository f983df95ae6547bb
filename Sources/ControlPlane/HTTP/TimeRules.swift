/// What a time on the wire may be (RFC 3339, section 5.6).
enum TimeRules {
  static let explanation = """
    must be an RFC 3339 time such as 2026-01-31T12:00:00Z, which its offset leaves in the years 0001 to 9999
    """
}
