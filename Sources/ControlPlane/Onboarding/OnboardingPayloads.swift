import Domain
import JSON
import NIOCore

extension Onboarding {
  /// When each step's fact came first, as it is stored.
  var factsJSON: JSONObject {
    var object = JSONObject()
    for step in Step.allCases {
      if let time = facts[step] { object.set(key: step.rawValue, time.microseconds) }
    }
    return object
  }

  /// State, steps and who may do each, as callers see it.
  var json: JSONObject { Self.json(state: state.name, facts: facts) }

  /// - Parameter state: the contract's name of it.
  static func json(state: String, facts: [Step: Timestamp]) -> JSONObject {
    var steps = JSONArray()
    for step in Step.allCases {
      var roles = JSONArray()
      for role in Role.allCases where permission(for: step).map(role.may) ?? false {
        roles.append(role.rawValue)
      }
      var object = JSONObject()
      object.set("step", step.rawValue)
      object.set("done_at", facts[step]?.rfc3339)
      object.set("roles", roles)
      steps.append(object)
    }
    var transitions = JSONArray()
    for transition in Self.transitions(from: state) { transitions.append(transition.rawValue) }
    var object = JSONObject()
    object.set("state", state)
    object.set("next_step", Step.allCases.first { facts[$0] == nil }?.rawValue)
    object.set("steps", steps)
    object.set("transitions", transitions)
    return object
  }
}

/// The body of `POST …/onboarding/facts`.
struct OnboardingFactPayload {
  /// What others than the workspace's own events tell.
  private enum Fact: String, CaseIterable {
    case providerConnected = "provider_connected"
    case keyIssued = "key_issued"
    case firstRequestSeen = "first_request_seen"

    var step: Onboarding.Step {
      switch self {
      case .providerConnected: .providerConnected
      case .keyIssued: .keyIssued
      case .firstRequestSeen: .firstRequestSeen
      }
    }
  }

  let step: Onboarding.Step

  /// - Throws: a ``Problem`` of 400 or 422 that lists everything that is wrong.
  init(_ body: ByteBuffer) throws {
    let reader = try PayloadReader(body)
    let fact = reader.choice("step", of: Fact.self)
    try reader.finish()
    guard let fact else { throw Problem(.invalidRequest) }
    step = fact.step
  }
}
