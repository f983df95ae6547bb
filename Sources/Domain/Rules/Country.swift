/// A country or territory, by its ISO 3166-1 alpha-2 code; and Kosovo by `XK`, the user-assigned code that addresses are
/// located with everywhere. Codes for no country (`XX`, `T1`, `EU`, `AP`, …) are none: see ``init(observed:)``.
package struct Country: Hashable, Sendable {
  /// The two letters as one number, from 0 to 675.
  let index: Int

  /// How many combinations of two letters there are.
  static let combinations = 26 * 26

  package var region: Region { Region.byCountry[index] ?? .unknown }

  /// All of them, in the order of their codes.
  package static let allCases: [Country] = Region.byCountry.indices.filter {
    Region.byCountry[$0] != nil
  }
  .map { Country(index: $0) }

  private init(index: Int) {
    self.index = index
  }

  static func index(_ code: some StringProtocol) -> Int? {
    let letters = Array(code.utf8)
    guard letters.count == 2, letters.allSatisfy({ (UInt8(ascii: "A")...UInt8(ascii: "Z")) ~= $0 })
    else { return nil }
    return 26 * Int(letters[0] - UInt8(ascii: "A")) + Int(letters[1] - UInt8(ascii: "A"))
  }
}

extension Country: LosslessStringConvertible {
  /// Nil unless the two capital letters are assigned.
  package init?(_ description: String) {
    guard let index = Self.index(description), Region.byCountry[index] != nil else { return nil }
    self.index = index
  }

  /// Reads what somebody else says about where a request comes from, in capital or small letters. Nil when it names no
  /// country, as `XX` (unknown), `T1` (Tor), `EU` and `AP` do: the request then belongs to the region ``Region/unknown``.
  package init?(observed code: some StringProtocol) {
    guard code.utf8.count == 2 else { return nil }
    self.init(String(decoding: code.utf8.map { $0 & ~0x20 }, as: UTF8.self))
  }

  package var description: String {
    let letters = [index / 26, index % 26].map { UInt8(ascii: "A") + UInt8($0) }
    return String(decoding: letters, as: UTF8.self)
  }
}

/// A part of the world, as the product divides it: every country is in exactly one. The raw values are stored.
package enum Region: String, Sendable, Codable, CaseIterable {
  case africa, antarctica, asia, europe, oceania
  case middleEast = "middle_east"
  case northAmerica = "north_america"
  case southAmerica = "south_america"
  /// Of requests whose country is not known, or none. No country is in it.
  case unknown

  package init(of country: Country?) {
    self = country?.region ?? .unknown
  }

  /// In the order of their codes.
  package var countries: [Country] { Country.allCases.filter { $0.region == self } }

  /// The region of every country, by its index; nil for letters that are no country.
  static let byCountry: [Region?] = {
    var regions = [Region?](repeating: nil, count: Country.combinations)
    for (region, codes) in codes {
      for code in codes.split(separator: " ") {
        guard let index = Country.index(code), regions[index] == nil else {
          preconditionFailure("\(code) is in two regions, or no code")
        }
        regions[index] = region
      }
    }
    return regions
  }()

  /// ISO 3166-1 as of 2024, 249 codes, and XK. The Middle East is cut out of the United Nations' Western Asia and Northern Africa;
  /// Central America and the Caribbean belong to North America.
  private static let codes: [(Region, String)] = [
    (
      .africa,
      """
      AO BF BI BJ BW CD CF CG CI CM CV DJ DZ EH ER ET GA GH GM GN GQ GW IO KE KM LR LS LY MA MG ML MR MU MW MZ NA NE NG \
      RE RW SC SD SH SL SN SO SS ST SZ TD TF TG TN TZ UG YT ZA ZM ZW
      """
    ),
    (.antarctica, "AQ BV GS HM"),
    (
      .asia,
      """
      AF AM AZ BD BN BT CN GE HK ID IN JP KG KH KP KR KZ LA LK MM MN MO MV MY NP PH PK SG TH TJ TL TM TW UZ VN
      """
    ),
    (
      .europe,
      """
      AD AL AT AX BA BE BG BY CH CY CZ DE DK EE ES FI FO FR GB GG GI GR HR HU IE IM IS IT JE LI LT LU LV MC MD ME MK MT NL \
      NO PL PT RO RS RU SE SI SJ SK SM UA VA XK
      """
    ),
    (
      .oceania,
      """
      AS AU CC CK CX FJ FM GU KI MH MP NC NF NR NU NZ PF PG PN PW SB TK TO TV UM VU WF WS
      """
    ),
    (.middleEast, "AE BH EG IL IQ IR JO KW LB OM PS QA SA SY TR YE"),
    (
      .northAmerica,
      """
      AG AI AW BB BL BM BQ BS BZ CA CR CU CW DM DO GD GL GP GT HN HT JM KN KY LC MF MQ MS MX NI PA PM PR SV SX TC TT US VC \
      VG VI
      """
    ),
    (.southAmerica, "AR BO BR CL CO EC FK GF GY PE PY SR UY VE"),
  ]
}
