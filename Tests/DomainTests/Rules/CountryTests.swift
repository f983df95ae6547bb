import Testing

@testable import Domain

@Suite struct CountryTests {
  @Test func `there are as many as ISO 3166-1 assigns, each in one region`() {
    #expect(Country.allCases.count == 249)
    #expect(Region.allCases.map(\.countries.count).reduce(0, +) == 249)
    #expect(Region.allCases.allSatisfy { !$0.countries.isEmpty })
    for region in Region.allCases {
      for country in region.countries { #expect(country.region == region) }
    }
  }

  @Test(arguments: [
    ("DE", Region.europe), ("US", .northAmerica), ("BR", .southAmerica), ("KE", .africa),
    ("JP", .asia), ("AE", .middleEast), ("NZ", .oceania), ("AQ", .antarctica),
  ])
  func `a code names a country`(code: String, region: Region) {
    #expect(Country(code)?.region == region)
    #expect(Country(code)?.description == code)
  }

  @Test(arguments: ["", "D", "de", "De", "DEU", "XX", "ZZ", "EU", "UK", "D1", "ÄÖ"])
  func `what is not assigned is no country`(code: String) {
    #expect(Country(code) == nil)
  }
}
