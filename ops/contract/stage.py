"""What a run acts on: people, workspaces and tokens that exist, and sacrifices for what ends a life.

The requests that are checked are all the owner's, who is a platform admin. Everybody else is there so that there are
members to remove, invitations to accept and people to forget, none of whom the run itself goes by.
"""

import json
import re
import secrets
import time
from datetime import UTC, datetime, timedelta

import requests
import stripe

INVITATION_TOKEN = re.compile(r"\bsbi_[0-9A-Za-z]{36}\b")
BASE32 = "0123456789abcdefghjkmnpqrstvwxyz"


class Refused(Exception):
    """A request that prepares something, and was not granted."""


class Person:
    """Somebody with a token."""

    def __init__(self, base_url, token):
        self.base_url, self.token = base_url, token
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {token}"

    @classmethod
    def signed_in(cls, base_url, email):
        """Somebody new, unless the address is known."""
        reply = requests.post(
            f"{base_url}/v1/dev/tokens", json={"email": email, "name": email.split("@")[0]}, timeout=10)
        if not reply.ok:
            raise Refused(f"POST /v1/dev/tokens: {reply.status_code} {reply.text}; is it there with --dev-identity?")
        return cls(base_url, reply.json()["token"])

    def ask(self, method, path, body=None, **arguments):
        """The reply, whatever it is."""
        return self.session.request(method, self.base_url + path, json=body, timeout=10, **arguments)

    def send(self, method, path, body=None, **arguments):
        """What the reply says, which must not be a refusal."""
        reply = self.ask(method, path, body, **arguments)
        if not reply.ok:
            raise Refused(f"{method} {path}: {reply.status_code} {reply.text}")
        return reply.json() if reply.content else None

    def user(self):
        return self.send("GET", "/v1/me")["user"]

    def create(self, path, body):
        return self.send("POST", path, body)["id"]


class Sacrifice:
    """Something to do a thing to that cannot be done to the same one for ever."""

    def __init__(self, make, times=1):
        self.make, self.times, self.left = make, times, 0

    def get(self):
        if self.left == 0:
            self.thing, self.left = self.make(), self.times
        return self.thing

    def spend(self):
        """Called when it was done, or refused because of what was done before."""
        self.left = max(0, self.left - 1)


class Stage:
    def __init__(self, base_url, token, stripe_secret=None):
        """With the secret of Stripe's webhooks there are events of its, too."""
        self.base_url, self.stripe_secret = base_url, stripe_secret
        self.run = secrets.token_hex(4)
        self.count = 0
        self.read_tokens = set()
        self.owner = Person(base_url, token)
        self.owner_user = self.owner.user()
        self.host = Person.signed_in(base_url, self.address("host"))
        self.countries = [
            country for region in self.owner.send("GET", "/v1/regions")["data"] for country in region["countries"]]
        # Whose the data plane is.
        self.gateway, gateway_token = self.make_gateway()
        self.place = self.make_place()
        # Paths that name no workspace.
        self.own = {
            "getPersonalAccessToken": {"token": self.make_token()}, "getGatewayToken": {"token": gateway_token},
            # Nothing is set aside here that could be replayed.
            "replaySetAsideItem": {"item": f"sai_{'0' * 26}"}}
        if stripe_secret:
            self.own["getStripeEvent"] = {"event": self.make_stripe_event("invoice.paid")}
            self.make_customer()
        self.sacrifices = self.make_sacrifices()
        self.cursors = self.read_cursors()

    # What is asked of it.

    def ids(self, operation, names):
        """What the path of a request is to name."""
        if operation in self.sacrifices:
            found = self.sacrifices[operation].get()
        else:
            found = self.place if "organization" in names else self.own[operation]
        return {name: found[name] for name in names}

    def invitation_token(self, operation):
        return self.sacrifices[operation].get()["invitation_token"]

    def heir(self, organization):
        """Who may be handed a workspace; of those that the run has made, only the owner is a member."""
        place = self.sacrifices["transferOwnership"].get()
        return place["heir"] if place["organization"] == organization else self.owner_user["id"]

    def projects(self, organization):
        places = self.place, self.sacrifices["createRule"].get()
        return [place["project"] for place in places if place["organization"] == organization]

    def spend(self, operation):
        if operation in self.sacrifices:
            self.sacrifices[operation].spend()

    def leaked_token(self):
        """A token that opens something, until it is reported."""
        return self.sacrifices["reportLeakedTokens"].get()["leaked"]

    def make_room(self):
        """Revokes what tokens the run has made: a person may only have so many."""
        kept = {place.get("token") for place in self.own.values()}
        for token in self.owner.send("GET", "/v1/me/tokens", params={"limit": 200})["data"]:
            if token["name"] != "bootstrap" and token["id"] not in kept:
                self.owner.send("DELETE", f"/v1/me/tokens/{token['id']}")

    def record_id(self):
        """An id for the record of a request, and the time that it holds: a moment ago, and never the same."""
        milliseconds = time.time_ns() // 1_000_000 - 60_000
        number = milliseconds << 80 | 7 << 76 | (self.next() & 0xFFF) << 64 | 2 << 62 | secrets.randbits(62)
        digits = (BASE32[number >> shift & 31] for shift in range(125, -1, -5))
        instant = datetime.fromtimestamp(milliseconds / 1000, UTC)
        return f"log_{''.join(digits)}", f"{instant:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03}Z"

    def record(self, project=None):
        """What a gateway may say of a request."""
        id, instant = self.record_id()
        return {
            "id": id, "occurred_at": instant, "project_id": project or self.place["project"], "decision": "allow",
            "provider": "openai", "model": "gpt-4o", "configuration_position": 1}

    # What it is made of.

    def next(self):
        self.count += 1
        return self.count

    def address(self, name):
        return f"{name}-{self.run}-{self.next()}@example.com"

    def make_organization(self, owner, plan="business"):
        slug = f"contract-{self.run}-{self.next()}"
        id = owner.create("/v1/organizations", {"name": f"Contract {self.run}", "slug": slug})
        self.owner.send("PUT", f"/v1/organizations/{id}/plan", {"plan_tier": plan}, headers={"If-Match": "*"})
        return id

    def make_project(self, organization, environment="test"):
        return self.owner.create(
            f"/v1/organizations/{organization}/projects", {"name": "Contract", "environment": environment})

    def make_provider_key(self, organization, project, provider):
        path = f"/v1/organizations/{organization}/projects/{project}/provider-keys/{provider}"
        self.owner.send("PUT", path, {"key": f"sk-contract-{secrets.token_hex(16)}"})
        return provider

    def make_invitation(self, by, organization, email):
        return by.create(
            f"/v1/organizations/{organization}/invitations", {"email": email, "role": "developer"})

    def mailed_token(self, email):
        """The token that was sent to an address last, and was not read before: mail is on its way for a moment."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            mails = self.host.send("GET", "/v1/dev/mailbox")["data"]
            token = next((INVITATION_TOKEN.search(mail["text"])[0] for mail in mails if mail["to"] == email), None)
            if token and token not in self.read_tokens:
                self.read_tokens.add(token)
                return token
            time.sleep(0.02)
        raise Refused(f"no mail came for {email}")

    def make_member(self, by, organization, person):
        """The id of a person who is a member now."""
        user = person.user()
        self.make_invitation(by, organization, user["email"])
        person.send("POST", "/v1/invitations/accept", {"token": self.mailed_token(user["email"])})
        return user["id"]

    def make_service_token(self, organization):
        ends = datetime.now(UTC) + timedelta(days=30)
        return self.owner.create(
            f"/v1/organizations/{organization}/service-tokens",
            {"name": "Contract", "role": "developer", "expires_at": ends.strftime("%Y-%m-%dT%H:%M:%SZ")})

    def make_api_key(self, organization, project):
        return self.owner.create(f"/v1/organizations/{organization}/projects/{project}/api-keys", {"name": "Contract"})

    def make_rule(self, organization, project=None):
        return self.owner.create(
            f"/v1/organizations/{organization}/rules",
            {"network": f"2001:db8:ffff:{self.next() % 65536:x}::/64", "effect": "deny", "project_id": project})

    def make_webhook_endpoint(self, organization):
        """Its deliveries lead nowhere."""
        return self.owner.create(
            f"/v1/organizations/{organization}/webhook-endpoints",
            {"url": f"https://hooks.contract.invalid/{self.next()}"})

    def make_gateway(self):
        """A data-plane gateway, and the id of its token."""
        issued = self.owner.send("POST", "/v1/platform/gateway-tokens", {"name": "Contract"})
        return Person(self.base_url, issued["token"]), issued["id"]

    def make_stripe_event(self, type, **object):
        """The id of an event that Stripe has told of."""
        event = {"id": f"evt_{self.run}_{self.next()}", "object": "event", "type": type, "created": int(time.time()),
                 "data": {"object": object}}
        body = json.dumps(event)
        headers = {
            "Content-Type": "application/json",
            "Stripe-Signature": stripe.WebhookSignature.generate_signature_header(body, self.stripe_secret)}
        reply = requests.post(f"{self.base_url}/v1/webhooks/stripe", data=body, headers=headers, timeout=10)
        if not reply.ok:
            raise Refused(f"POST /v1/webhooks/stripe: {reply.status_code} {reply.text}")
        return event["id"]

    def make_customer(self):
        """Something was bought for the organization, so that there are purchases, a ledger, and a portal."""
        organization = self.place["organization"]
        for _ in range(2):
            self.make_purchase(organization)
        bought = self.owner.send("GET", f"/v1/organizations/{organization}/credits/purchases")["data"]
        self.place["purchase"] = bought[0]["id"]

    def make_purchase(self, organization):
        number = self.next()
        return self.make_stripe_event(
            "checkout.session.completed", id=f"cs_{self.run}_{number}", mode="payment", payment_status="paid",
            payment_intent=f"pi_{self.run}_{number}", amount_total=1500, currency="usd", customer=f"cus_{self.run}",
            client_reference_id=organization, metadata={"package": "credits_15"})

    def make_token(self):
        return self.owner.create("/v1/me/tokens", {"name": "Contract"})

    def make_place(self):
        """An organization with two of everything, of which the first stays as it is, but for what changes it."""
        organization = self.make_organization(self.owner)
        path = f"/v1/organizations/{organization}"
        project, _ = (self.make_project(organization, environment) for environment in ("test", "live"))
        member = Person.signed_in(self.base_url, self.address("member"))
        place = {
            "organization": organization, "project": project,
            "user": self.make_member(self.owner, organization, member)}
        place["provider"], _ = (self.make_provider_key(organization, project, name) for name in ("openai", "mistral"))
        place["invitation"], _ = (
            self.make_invitation(self.owner, organization, self.address("guest")) for _ in range(2))
        place["key"], _ = (self.make_api_key(organization, project) for _ in range(2))
        place["token"], _ = (self.make_service_token(organization) for _ in range(2))
        place["endpoint"], _ = (self.make_webhook_endpoint(organization) for _ in range(2))
        hooks = f"{path}/webhook-endpoints/{place['endpoint']}"
        place["event"], _ = (self.owner.send("POST", f"{hooks}:ping")["event_id"] for _ in range(2))
        place["rule"], *_ = (self.make_rule(organization, where) for where in (None, None, project))
        self.versions = [self.owner.send("GET", f"{path}/events", params={"limit": 200})["data"][-1]["version"]]
        self.owner.send("PUT", f"{path}/projects/{project}/panic-mode", {"enabled": True, "reason": "A drill."})
        newest = self.owner.send("GET", f"{path}/events", params={"limit": 200})["data"][-1]
        self.versions.append(newest["version"])
        self.time, self.position = newest["occurred_at"], newest["position"]
        records = [self.record(project) for _ in range(2)]
        self.gateway.send("POST", "/v1/dataplane/request-logs", records)
        place["log"] = records[0]["id"]
        return place

    def read_cursors(self):
        """The first cursor of every list, by operation."""
        organization = f"/v1/organizations/{self.place['organization']}"
        lists = {
            "listOrganizations": "/v1/organizations",
            "listPersonalAccessTokens": "/v1/me/tokens",
            "listMembers": f"{organization}/members",
            "listInvitations": f"{organization}/invitations",
            "listServiceTokens": f"{organization}/service-tokens",
            "listProjects": f"{organization}/projects",
            "listProviderKeys": f"{organization}/projects/{self.place['project']}/provider-keys",
            "listApiKeys": f"{organization}/projects/{self.place['project']}/api-keys",
            "listRules": f"{organization}/rules",
            "listRequestLogs": f"{organization}/request-logs",
            "listGatewayTokens": "/v1/platform/gateway-tokens",
            "listAuditEvents": f"{organization}/audit-events",
            "listWebhookEndpoints": f"{organization}/webhook-endpoints",
            "listWebhookDeliveries": f"{organization}/webhook-endpoints/{self.place['endpoint']}/deliveries",
        }
        if self.stripe_secret:
            lists["listStripeEvents"] = "/v1/platform/stripe-events"
            lists["listCreditPurchases"] = f"{organization}/credits/purchases"
            lists["listLedgerEntries"] = f"{organization}/credits/ledger"
        return {
            name: self.owner.send("GET", path, params={"limit": 1})["next_cursor"]
            for name, path in lists.items()}

    def make_sacrifices(self):
        organization = self.place["organization"]
        to_accept, to_decline, to_leave = (self.make_organization(self.host) for _ in range(3))
        to_dismiss, to_hand_over, to_bill = (self.make_organization(self.owner) for _ in range(3))
        heir = Person.signed_in(self.base_url, self.address("heir"))
        heir_id = self.make_member(self.owner, to_hand_over, heir)
        guest = Person.signed_in(self.base_url, self.address("guest"))

        def owned(plan="business"):
            return {"organization": self.make_organization(self.owner, plan)}

        def invitation_to(organization):
            # Declined invitations leave nothing behind, accepted ones a member, and those that were refused themselves.
            path = f"/v1/organizations/{organization}"
            self.host.ask("DELETE", f"{path}/members/{self.owner_user['id']}")
            for open in self.host.send("GET", f"{path}/invitations", params={"status": "pending"})["data"]:
                self.host.send("DELETE", f"{path}/invitations/{open['id']}")
            self.make_invitation(self.host, organization, self.owner_user["email"])
            return {"invitation_token": self.mailed_token(self.owner_user["email"])}

        def to_be_left():
            # The owner may not have left: the last one of a workspace does not.
            if not self.owner.ask("GET", f"/v1/organizations/{to_leave}").ok:
                self.make_member(self.host, to_leave, self.owner)
            return {"organization": to_leave}

        def handed_back():
            heir.ask(
                "POST", f"/v1/organizations/{to_hand_over}/transfer-ownership", {"user_id": self.owner_user["id"]})
            return {"organization": to_hand_over, "heir": heir_id}

        def asked_to(transition):
            self.owner.send("POST", f"/v1/organizations/{to_dismiss}/onboarding/{transition}")
            return {"organization": to_dismiss}

        def set_up():
            place = owned()
            self.make_project(place["organization"])
            for step in ("provider_connected", "key_issued", "first_request_seen"):
                self.owner.send(
                    "POST", f"/v1/organizations/{place['organization']}/onboarding/facts", {"step": step})
            return place

        def to_be_forgotten():
            person = Person.signed_in(self.base_url, self.address("forgotten"))
            if self.next() % 3 == 0:
                self.make_organization(person)
            return {"user": person.user()["id"]}

        def here(name, make):
            return lambda: {"organization": organization, name: make(organization)}

        def keyed():
            project = self.place["project"]
            return {"organization": organization, "project": project, "key": self.make_api_key(organization, project)}

        def to_be_filled(plan):
            place = owned(plan)
            return place | {"project": self.make_project(place["organization"])}

        def to_be_found():
            project = self.place["project"]
            path = f"/v1/organizations/{organization}/projects/{project}/api-keys"
            return {"leaked": self.owner.send("POST", path, {"name": "Contract"})["token"]}

        def to_be_changed():
            # What they leave behind must not fill the project.
            keys = f"/v1/organizations/{organization}/projects/{self.place['project']}/api-keys"
            good = [key["id"] for key in self.owner.send("GET", keys, params={"limit": 200})["data"] if not key["revoked_at"]]
            for id in good if len(good) > 50 else []:
                if id != self.place["key"]:
                    self.owner.send("DELETE", f"{keys}/{id}")
            return keyed()

        return {
            "archiveOrganization": Sacrifice(owned, times=2),
            "deleteProviderKey": Sacrifice(
                lambda: {"organization": organization, "project": self.place["project"], "provider":
                         self.make_provider_key(organization, self.place["project"], f"p-{self.next()}")}),
            "archiveProject": Sacrifice(here("project", self.make_project), times=2),
            "eraseUser": Sacrifice(to_be_forgotten, times=2),
            "removeMember": Sacrifice(here("user", lambda _: self.make_member(self.owner, organization, guest))),
            "leaveOrganization": Sacrifice(to_be_left),
            "transferOwnership": Sacrifice(handed_back),
            "acceptInvitation": Sacrifice(lambda: invitation_to(to_accept)),
            "declineInvitation": Sacrifice(lambda: invitation_to(to_decline)),
            "revokeInvitation": Sacrifice(
                here("invitation", lambda _: self.make_invitation(
                    self.owner, organization, self.address("guest"))), times=2),
            "revokeServiceToken": Sacrifice(here("token", self.make_service_token), times=2),
            "changeApiKey": Sacrifice(to_be_changed),
            "rotateApiKey": Sacrifice(to_be_changed),
            "revokeApiKey": Sacrifice(keyed, times=2),
            "createApiKey": Sacrifice(lambda: to_be_filled("plus"), times=10),
            # A dead letter, which stays one.
            "replayStripeEvent": Sacrifice(
                lambda: {"event": self.make_purchase("org_00000000000000000000000000")}, times=4),
            # In one place there is one rule about one thing.
            "createRule": Sacrifice(lambda: to_be_filled("business"), times=2),
            "reportLeakedTokens": Sacrifice(to_be_found, times=2),
            # One more than there may be.
            "createWebhookEndpoint": Sacrifice(owned, times=21),
            "deleteWebhookEndpoint": Sacrifice(here("endpoint", self.make_webhook_endpoint)),
            "deleteRule": Sacrifice(here("rule", self.make_rule)),
            "revokeGatewayToken": Sacrifice(lambda: {"token": self.make_gateway()[1]}, times=2),
            "revokePersonalAccessToken": Sacrifice(lambda: {"token": self.make_token()}, times=2),
            "changePlan": Sacrifice(lambda: {"organization": to_bill}),
            "completeOnboarding": Sacrifice(set_up, times=2),
            "dismissOnboarding": Sacrifice(lambda: asked_to("resume"), times=2),
            "resumeOnboarding": Sacrifice(lambda: asked_to("dismiss"), times=2),
            "recordOnboardingFact": Sacrifice(owned, times=4),
            # One more than the plan allows.
            "createProject": Sacrifice(lambda: owned("plus"), times=6),
            "createInvitation": Sacrifice(lambda: owned("plus"), times=15),
        }
