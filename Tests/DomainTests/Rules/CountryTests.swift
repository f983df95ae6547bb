import Testing

@testable import Domain

@Suite struct CountryTests {
  @Test func `there are as many as ISO 3166-1 assigns, and Kosovo, each in one region`() {
    #expect(Country.allCases.count == 250)
    #expect(Region.allCases.map(\.countries.count).reduce(0, +) == 250)
    #expect(Region.allCases.allSatisfy { $0.countries.isEmpty == ($0 == .unknown) })
    for region in Region.allCases {
      for country in region.countries { #expect(country.region == region) }
    }
  }

  @Test(arguments: [
    ("DE", Region.europe), ("US", .northAmerica), ("BR", .southAmerica), ("KE", .africa),
    ("JP", .asia), ("AE", .middleEast), ("NZ", .oceania), ("AQ", .antarctica),
    ("XK", .europe),
  ])
  func `a code names a country`(code: String, region: Region) {
    #expect(Country(code)?.region == region)
    #expect(Country(code)?.description == code)
  }

  @Test(arguments: [
    "", "D", "de", "De", "DEU", "XX", "ZZ", "EU", "UK", "AP", "T1", "A1", "A2", "O1", "D1", "ÄÖ",
  ])
  func `what is not assigned is no country`(code: String) {
    #expect(Country(code) == nil)
  }

  @Test(arguments: [("DE", "DE"), ("de", "DE"), ("xK", "XK"), ("us", "US")])
  func `what others report may be in small letters`(code: String, country: String) {
    #expect(Country(observed: code)?.description == country)
  }

  @Test(arguments: [
    "", " ", "D", "XX", "xx", "T1", "t1", "EU", "AP", "ZZ", "A1", "A2", "O1", "D\u{0}", "DEU", "$%",
    "Ä",
    "\u{4}E", String(repeating: "D", count: 100_000),
  ])
  func `what is reported and no country is the region unknown`(code: String) {
    #expect(Country(observed: code) == nil)
    #expect(Region(of: Country(observed: code)) == .unknown)
  }
}
