"""Charges as orders price, time and change them. Everything here is re-exported by `action_models`."""

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field

from billfold.orders.fields import (
    Amount,
    Count,
    CustomFields,
    Day,
    Fault,
    Length,
    Many,
    Model,
    Name,
    Name50,
    Ruled,
    Text500,
    Whole,
    by_choice,
    knows,
    missing,
)

Alignment = Literal["AlignToCharge", "AlignToSubscriptionStart", "AlignToTermStart", "AlignToTermEnd"]
Weekday = Literal["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
BillingPeriod = Literal[
    "Month", "Quarter", "Semi_Annual", "Annual", "Eighteen_Months", "Two_Years", "Three_Years", "Five_Years",
    "Specific_Months", "Subscription_Term", "Week", "Specific_Weeks", "Specific_Days",
]  # fmt: skip
CycleType = Literal[
    "DefaultFromCustomer", "SpecificDayofMonth", "SubscriptionStartDay", "ChargeTriggerDay", "SpecificDayofWeek",
    "TermStartDay", "TermEndDay",
]  # fmt: skip
DiscountedTypes = Literal[
    "ONETIME", "RECURRING", "USAGE", "ONETIMERECURRING", "ONETIMEUSAGE", "RECURRINGUSAGE", "ONETIMERECURRINGUSAGE",
]  # fmt: skip
_CATALOG: Final = {"productRatePlanChargeId": "productRatePlanChargeNumber"}
_PREPAID: Final = "prepayments and drawdown"
_MODELS: Final = "charge models other than flat fee, per unit, tiered, volume, overage and percentage discounts"


class _Tier(Model):
    tier: Annotated[Whole, Field(ge=1)]
    startingUnit: Count
    endingUnit: Count | None = None
    price: Amount
    priceFormat: Literal["FlatFee", "PerUnit"]


@knows("originalListPrice")
class _ChargeTier(_Tier):
    """One step of a tiered or volume price."""


@knows(
    "originalListPrice originalListDiscountAmount originalListDiscountPercentage originalDiscountAmount "
    "originalDiscountPercentage",
    cannot={
        "price changes by percentage": "priceIncreasePercentage",
        "prices for a specific number of months": "specificListPriceBase",
        "smoothed or unused overage": "numberOfPeriods unusedUnitsCreditRates",
        "fixed discounts": "discountAmount",
        "discounts of parts of a billing period": "applyToBillingPeriodPartially",
        "discounts of single charges": "discountApplyDetails",
    },
    only={
        "prices that change at renewals": ("priceChangeOption", "NoChange"),
        "rating of usage by other groups": ("ratingGroup", "ByBillingPeriod"),
        "credits for unused units": ("overageUnusedUnitsCreditOption", "NoCredit"),
    },
)
class _Price(Model):
    """Whatever makes the price of one charge model."""

    COLUMNS: ClassVar = {
        "listPrice": "price", "quantity": "quantity", "uom": "uom", "listPriceBase": "list_price_base",
        "tiers": "tiers", "includedUnits": "included_units", "overagePrice": "overage_price",
        "discountPercentage": "discount_percentage", "applyDiscountTo": "apply_discount_to",
        "discountLevel": "discount_level", "discountClass": "discount_class",
    }  # fmt: skip
    """The columns of charges, by fields of prices."""

    def given(self) -> dict[str, Any]:
        """What was given, by column."""
        said = _given(self, self.COLUMNS)
        if tiers := said.pop("tiers", None):
            said["tiers"] = _tiers_text(tiers)
        return said


def _given(said: Model, names: Mapping[str, str]) -> dict[str, Any]:
    """Values by column. Asked of the model's dictionary, since to ask pydantic for what is not there takes long."""
    fields = vars(said)
    return {column: value for name, column in names.items() if (value := fields.get(name)) is not None}


def _tiers_text(tiers: tuple[_ChargeTier, ...]) -> str:
    """Tiers as JSON with exact numbers, which the JSON of Python's own library can't write."""
    return f"[{','.join(map(_tier_text, tiers))}]"


def _tier_text(tier: _ChargeTier) -> str:
    end = "null" if tier.endingUnit is None else _digits(tier.endingUnit)
    numbers = f'"tier":{tier.tier},"startingUnit":{_digits(tier.startingUnit)},"endingUnit":{end}'
    return f'{{{numbers},"price":{_digits(tier.price)},"priceFormat":{json.dumps(tier.priceFormat)}}}'


def _digits(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


class _Listed(_Price):
    listPrice: Amount | None = None


class _Measured(_Price):
    uom: Name | None = None


class _Counted(_Measured):
    quantity: Count | None = None


class _Tiered(_Price):
    tiers: Many[_ChargeTier] = ()


class _PerSpan(_Price):
    listPriceBase: Literal["Per_Billing_Period", "Per_Month", "Per_Week", "Per_Year"] | None = None


class _RecurringFlatFee(_Listed, _PerSpan): ...


class _OneTimePerUnit(_Listed, _Counted): ...


class _RecurringPerUnit(_Listed, _Counted, _PerSpan): ...


class _UsagePerUnit(_Listed, _Measured): ...


class _OneTimeTiered(_Tiered, _Counted): ...


class _RecurringTiered(_Tiered, _Counted, _PerSpan): ...


class _UsageTiered(_Tiered, _Measured): ...


class _Overage(_Price):
    includedUnits: Count | None = None
    overagePrice: Amount | None = None


class _TieredWithOverage(_Tiered, _Measured):
    overagePrice: Amount | None = None


class _Discount(_Price):
    discountPercentage: Amount | None = None
    applyDiscountTo: DiscountedTypes | None = None
    discountLevel: Literal["rateplan", "subscription", "account"] | None = None
    discountClass: Name | None = None


@knows(cannot={_MODELS: "chargeModelData recurringDelivery recurringDeliveryBased recurringCalculated"})
class Pricing(Ruled):
    """The price of one charge, under the name of its type and model."""

    oneTimeFlatFee: _Listed | None = None
    oneTimePerUnit: _OneTimePerUnit | None = None
    oneTimeTiered: _OneTimeTiered | None = None
    oneTimeVolume: _OneTimeTiered | None = None
    recurringFlatFee: _RecurringFlatFee | None = None
    recurringPerUnit: _RecurringPerUnit | None = None
    recurringTiered: _RecurringTiered | None = None
    recurringVolume: _RecurringTiered | None = None
    usageFlatFee: _Listed | None = None
    usagePerUnit: _UsagePerUnit | None = None
    usageTiered: _UsageTiered | None = None
    usageVolume: _UsageTiered | None = None
    usageOverage: _Overage | None = None
    usageTieredWithOverage: _TieredWithOverage | None = None
    discount: _Discount | None = None

    KINDS: ClassVar = {
        f"{prefix}{model}": (charge_type, model)
        for prefix, charge_type in (("oneTime", "OneTime"), ("recurring", "Recurring"), ("usage", "Usage"))
        for model in ("FlatFee", "PerUnit", "Tiered", "Volume")
    } | {
        "usageOverage": ("Usage", "Overage"),
        "usageTieredWithOverage": ("Usage", "TieredWithOverage"),
        "discount": ("", "DiscountPercentage"),
    }
    """The charge types and models that the fields are for. A discount may be of any type."""

    def faults(self) -> Iterator[Fault]:
        """A charge has one model."""
        given = [name for name in self.KINDS if self.has(name)]
        for name in given[1:]:
            yield Fault((name,), f"can't be given together with {given[0]}: a charge has one model")

    def given(self) -> tuple[str, str, dict[str, Any]] | None:
        """The charge type, the charge model, and what was given by column; nothing if no price was given.

        The charge type of a discount is empty, since a discount may be of any type.
        """
        for name, price in vars(self).items():
            if price is not None and name in self.KINDS:
                charge_type, model = self.KINDS[name]
                return charge_type, model, price.given()
        return None


class _Periods(Model):
    billingPeriodAlignment: Alignment | None = None

    COLUMNS: ClassVar = {
        "billingPeriod": "billing_period", "specificBillingPeriod": "specific_billing_period",
        "billingTiming": "billing_timing", "billCycleType": "bill_cycle_type", "billCycleDay": "bill_cycle_day",
        "weeklyBillCycleDay": "weekly_bill_cycle_day", "billingPeriodAlignment": "billing_period_alignment",
    }  # fmt: skip

    def given(self) -> dict[str, Any]:
        """What was given, by column."""
        return _given(self, self.COLUMNS)


class BillingUpdate(_Periods):
    """What of its periods a charge can change later."""


class Billing(_Periods):
    """The periods of a charge, and when they are owed."""

    billingPeriod: BillingPeriod | None = None
    specificBillingPeriod: Annotated[Whole, Field(ge=1, le=1200)] | None = None
    billingTiming: Literal["IN_ADVANCE", "IN_ARREARS"] | None = None
    billCycleType: CycleType | None = None
    billCycleDay: Annotated[Whole, Field(ge=1, le=31)] | None = None
    weeklyBillCycleDay: Weekday | None = None


@knows(cannot={"start dates that follow other charges": "startDatePolicy periodsAfterChargeStart startPeriodsType"})
class TriggerParams(Ruled):
    """When a charge starts, or a change of it."""

    triggerEvent: Literal["ContractEffective", "ServiceActivation", "CustomerAcceptance", "SpecificDate"] | None = None
    specificTriggerDate: Day | None = None

    def faults(self) -> Iterator[Fault]:
        """A date of its own goes with an event of its own."""
        yield from by_choice(self, "triggerEvent", {"SpecificDate": ("specificTriggerDate",)})


@knows(cannot={"end dates that follow other charges": "endDatePolicy"})
class EndConditions(Ruled):
    """When a charge ends."""

    endDateCondition: Literal["Subscription_End", "Fixed_Period", "Specific_End_Date", "One_Time"] | None = None
    specificEndDate: Day | None = None
    upToPeriods: Length | None = None
    upToPeriodsType: Literal["Billing_Periods", "Days", "Weeks", "Months", "Years"] | None = None

    NEEDS: ClassVar = {
        "Fixed_Period": ("upToPeriods", "upToPeriodsType"),
        "Specific_End_Date": ("specificEndDate",),
    }

    def faults(self) -> Iterator[Fault]:
        """A fixed period has a length, a specific end a date."""
        yield from by_choice(self, "endDateCondition", self.NEEDS)


@knows(
    "name accountReceivableAccountingCode adjustmentLiabilityAccountingCode adjustmentRevenueAccountingCode "
    "contractAssetAccountingCode contractLiabilityAccountingCode contractRecognizedRevenueAccountingCode "
    "deferredRevenueAccountingCode recognizedRevenueAccountingCode unBilledReceivablesAccountingCode productCategory "
    "productClass productFamily productLine taxCode taxable revenueRecognitionTiming revenueAmortizationMethod "
    "excludeItemBillingFromRevenueAccounting excludeItemBookingFromRevenueAccounting isAllocationEligible isUnbilled "
    "revRecCode revRecTriggerCondition revenueRecognitionRuleName estimatedStartDate upsellOriginChargeNumber",
    instead=_CATALOG,
    cannot={
        "charges outside the catalog": "chargeModel chargeType",
        "commitments": "isChargeLevelMinCommit chargeLevelMinCommitmentAmount isCommitted commitmentType "
        "commitmentLevel",
        _PREPAID: "prepaymentUnitType prepaidOperationType prepaidUom prepaidQuantity prepaidTotalQuantity isPrepaid "
        "creditOption drawdownUom drawdownRate drawdownScope drawdownPriority fundSupportAccountHierarchy "
        "validityPeriodType validityPeriodAlignment validityPeriodAnchorDate validityPeriodProrationOption "
        "specificValidityPeriodLength vpAlignment vpAnchorDate vpProrationOption",
        "rollovers": "isRollover rolloverApply rolloverPeriods rolloverPeriodLength rolloverPeriodType "
        "rolloverFundPriority rolloverEndDateType rolloverEndDate clearingExistingRolloverPeriodType "
        "clearingExistingRolloverPeriodLength",
        "proration by charge": "prorationOption",
        "rating by properties": "ratingPropertiesOverride",
        "charges below other charges": "parentChargeNumber parentUniqueToken",
        "prices by attributes": "pricingAttributes negotiatedPriceTable",
    },
    only={
        "charges that are not billed": ("isBillable", True),
        "prepayments, drawdown and commitments": ("chargeFunction", "Standard"),
        "prices that include tax": ("taxMode", "TaxExclusive"),
    },
)
class ChargeOverride(Model):
    """What a new charge has that its catalog charge has not."""

    productRatePlanChargeId: Name
    chargeNumber: Name50 | None = None
    uniqueToken: Name50 | None = None
    description: Text500 | None = None
    pricing: Pricing | None = None
    billing: Billing | None = None
    startDate: TriggerParams | None = None
    endDate: EndConditions | None = None
    customFields: CustomFields = None


@knows(
    "description estimatedStartDate",
    instead=_CATALOG,
    cannot={
        _PREPAID: "prepaidQuantity",
        "prices by attributes": "pricingAttributes negotiatedPriceTable",
        "clearing of custom fields (give them null)": "clearingCustomFields",
    },
)
class ChargeUpdate(Ruled):
    """A change of a charge that a subscription has already."""

    chargeNumber: Name50 | None = None
    uniqueToken: Name50 | None = None
    productRatePlanChargeId: Name | None = None
    pricing: Pricing | None = None
    billing: BillingUpdate | None = None
    effectiveDate: TriggerParams | None = None
    customFields: CustomFields = None

    def faults(self) -> Iterator[Fault]:
        """It has to say which charge."""
        if not (self.chargeNumber or self.uniqueToken or self.productRatePlanChargeId):
            yield missing("chargeNumber", "unless uniqueToken or productRatePlanChargeId is given")


@knows("description")
class ChargeRemoval(Ruled):
    """A charge that is taken out of its rate plan."""

    chargeNumber: Name50 | None = None
    uniqueToken: Name50 | None = None

    def faults(self) -> Iterator[Fault]:
        """It has to say which charge."""
        if not (self.chargeNumber or self.uniqueToken):
            yield missing("chargeNumber", "unless uniqueToken is given")
