import COpenSSL
import Testing

@testable import Cryptography

struct CryptographyErrorTests {
  @Test func `an error of libcrypto is told with its reason, once`() {
    // given a failure that libcrypto has queued
    #expect(EVP_MD_fetch(nil, "NO-SUCH-HASH", nil) == nil)
    // then it is told with the library's own words
    guard case .openSSL("EVP_MD_fetch", let reason) = CryptographyError.last("EVP_MD_fetch") else {
      Issue.record("not an error of libcrypto")
      return
    }
    #expect(reason == "unsupported")
    // and explains nothing later
    #expect(CryptographyError.last("later") == .openSSL(function: "later", reason: "error 0"))
  }
}
