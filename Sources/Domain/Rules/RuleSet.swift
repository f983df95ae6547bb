/// The rules of one project and of the workspace around it, arranged so that finding the one that decides takes no longer
/// with a thousand of them than with ten. It is compiled when the rules have changed, and only read after that.
package struct RuleSet: Sendable {
  /// A rule as decisions see it.
  struct Entry: Sendable {
    let id: RuleID
    let effect: Rule.Effect
    /// In microseconds; the largest number when it does not expire.
    let expiresAt: Int64

    init(_ id: RuleID, _ rule: Rule) {
      self.id = id
      effect = rule.effect
      expiresAt = rule.expiresAt?.microseconds ?? .max
    }

    func isInForce(at time: Timestamp) -> Bool { time.microseconds < expiresAt }
  }

  private let version4: NetworkTable<UInt32>
  private let version6: NetworkTable<UInt128>
  private let geography: GeographyTable
  private let models: ModelTable

  package init(_ rules: [RuleID: Rule]) {
    // Deny before allow at equal rank, and always in the same order.
    let rules = rules.sorted {
      ($0.value.effect == .allow ? 1 : 0, $0.key.uuid) < (
        $1.value.effect == .allow ? 1 : 0, $1.key.uuid
      )
    }
    var version4: [(UInt32, Int, Entry)] = []
    var version6: [(UInt128, Int, Entry)] = []
    var countries: [Int: [Entry]] = [:]
    var regions: [Region: [Entry]] = [:]
    var models: [ModelTable.Member] = []
    for (id, rule) in rules {
      let entry = Entry(id, rule)
      switch rule.match {
      case .network(let network) where network.isIPv4:
        version4.append(
          (UInt32(truncatingIfNeeded: network.base.bits), network.prefixLength, entry))
      case .network(let network):
        version6.append((network.base.bits, network.prefixLength, entry))
      case .country(let country): countries[country.index, default: []].append(entry)
      case .region(let region): regions[region, default: []].append(entry)
      case .model(let provider, let pattern): models.append((entry, provider, pattern))
      }
    }
    self.version4 = NetworkTable(version4)
    self.version6 = NetworkTable(version6)
    geography = GeographyTable(countries, regions)
    self.models = ModelTable(models)
  }

  /// About how much memory it takes, in bytes.
  package var byteCount: Int {
    MemoryLayout<Self>.size + version4.byteCount + version6.byteCount + geography.byteCount
      + models.byteCount
  }

  /// The most specific network around an address that has a rule in force; deny before allow at equal length.
  func rule(
    for address: IPAddress, at time: Timestamp, _ trace: inout some DecisionTrace
  ) -> Entry? {
    address.isIPv4
      ? version4.rule(for: UInt32(truncatingIfNeeded: address.bits), at: time, &trace)
      : version6.rule(for: address.bits, at: time, &trace)
  }

  /// The rule for a country, else for its region; nil is a country that is not known.
  func rule(
    for country: Country?, at time: Timestamp, _ trace: inout some DecisionTrace
  ) -> Entry? {
    geography.rule(for: country, at: time, &trace)
  }

  /// The rule whose pattern says most of a model's name. Of two that say as much, one that names the provider comes before
  /// one for any, and deny before allow.
  func rule(
    forModel name: String, of provider: String, at time: Timestamp,
    _ trace: inout some DecisionTrace
  ) -> Entry? {
    models.rule(for: name, of: provider, at: time, &trace)
  }
}

/// Networks as ranges of addresses that do not overlap: each belongs to the smallest network around it, and every network
/// knows the next larger one.
private struct NetworkTable<Address: FixedWidthInteger & UnsignedInteger & Sendable>: Sendable {
  /// The first address of each range, in order.
  private var starts: [Address] = []
  /// The rule of the smallest network around each range; -1 when there is none.
  private var owners: [Int32] = []
  private var entries: [RuleSet.Entry] = []
  /// Of each rule, the one of the next larger network, or the next one of the same; -1 when there is none.
  private var parents: [Int32] = []

  /// - Parameter networks: first address, length of the prefix, rule; of equal ones the first decides.
  init(_ networks: [(base: Address, prefixLength: Int, entry: RuleSet.Entry)]) {
    // Larger networks first, and of equal ones the one that decides last: it is the innermost.
    let networks = networks.enumerated().sorted { left, right in
      (left.element.base, left.element.prefixLength, -left.offset)
        < (right.element.base, right.element.prefixLength, -right.offset)
    }.map(\.element)
    var open: [(end: Address, index: Int32)] = []
    func close(before next: Address?) {
      while let innermost = open.last, next.map({ innermost.end < $0 }) ?? true {
        open.removeLast()
        // Behind the last address there is none.
        if innermost.end < .max { begin(innermost.end + 1, open.last?.index ?? -1) }
      }
    }
    func begin(_ start: Address, _ owner: Int32) {
      if starts.last == start {
        owners[owners.count - 1] = owner
      } else {
        starts.append(start)
        owners.append(owner)
      }
    }
    for network in networks {
      close(before: network.base)
      let index = Int32(entries.count)
      entries.append(network.entry)
      parents.append(open.last?.index ?? -1)
      begin(network.base, index)
      let host = Address.bitWidth - network.prefixLength
      let end = host == Address.bitWidth ? .max : network.base | ((1 << host) - 1)
      open.append((end, index))
    }
    close(before: nil)
  }

  var byteCount: Int {
    starts.count * (MemoryLayout<Address>.stride + MemoryLayout<Int32>.stride)
      + entries.count * (MemoryLayout<RuleSet.Entry>.stride + MemoryLayout<Int32>.stride)
  }

  func rule(
    for address: Address, at time: Timestamp, _ trace: inout some DecisionTrace
  ) -> RuleSet.Entry? {
    // The number of ranges that begin at the address or before it.
    var (low, high) = (0, starts.count)
    starts.withUnsafeBufferPointer { starts in
      while low < high {
        let middle = (low + high) / 2
        if starts[middle] <= address { low = middle + 1 } else { high = middle }
      }
    }
    guard low > 0 else { return nil }
    var index = Int(owners[low - 1])
    while index >= 0 {
      let entry = entries[index]
      trace.looked(at: entry.id)
      if entry.isInForce(at: time) { return entry }
      index = Int(parents[index])
    }
    return nil
  }
}

/// For every country its rules, and then those of its region. Behind all countries come the rules for requests whose country
/// is not known.
private struct GeographyTable: Sendable {
  /// Where the rules of each country begin, by its index, and at last where those of the unknown one end.
  private var starts: [Int32] = []
  private var entries: [RuleSet.Entry] = []

  init(_ countries: [Int: [RuleSet.Entry]], _ regions: [Region: [RuleSet.Entry]]) {
    guard !countries.isEmpty || !regions.isEmpty else { return }
    for (index, region) in Region.byCountry.enumerated() {
      starts.append(Int32(entries.count))
      entries += countries[index] ?? []
      if let region { entries += regions[region] ?? [] }
    }
    starts.append(Int32(entries.count))
    entries += regions[.unknown] ?? []
    starts.append(Int32(entries.count))
  }

  var byteCount: Int {
    starts.count * MemoryLayout<Int32>.stride + entries.count * MemoryLayout<RuleSet.Entry>.stride
  }

  func rule(
    for country: Country?, at time: Timestamp, _ trace: inout some DecisionTrace
  ) -> RuleSet.Entry? {
    let index = country?.index ?? Country.combinations
    guard index + 1 < starts.count else { return nil }
    for place in Int(starts[index])..<Int(starts[index + 1]) {
      let entry = entries[place]
      trace.looked(at: entry.id)
      if entry.isInForce(at: time) { return entry }
    }
    return nil
  }
}
